"""The account at the SMS provider, from the environment (`TWILIO_*`)."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from companion.errors import Misconfigured


class TwilioSettings(BaseSettings):
    """The account at Twilio. `sender` is `TWILIO_FROM`; a messaging service goes before it."""

    model_config = SettingsConfigDict(env_prefix="TWILIO_", extra="ignore", populate_by_name=True)

    account_sid: str = ""
    auth_token: SecretStr = SecretStr("")
    auth_token_next: SecretStr = SecretStr("")
    sender: str = Field("", validation_alias="TWILIO_FROM")
    messaging_service_sid: str = ""
    api_base: str = "https://api.twilio.com"
    connect_seconds: float = 3
    # A longer wait leaves fewer in doubt; one who waits for a code would rather have a new one.
    read_seconds: float = 30
    read_seconds_codes: float = 10

    def require(self) -> "TwilioSettings":
        """Itself, ready to send. Raises `Misconfigured` naming what is missing."""
        needed = {
            "TWILIO_ACCOUNT_SID": self.account_sid,
            "TWILIO_AUTH_TOKEN": self.auth_token.get_secret_value(),
            "TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID": self.sender or self.messaging_service_sid,
        }
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise Misconfigured(
                f"NOTIFICATIONS_SMS=twilio needs {', '.join(missing)}; see README, configuration"
            )
        return self

    @property
    def tokens(self) -> list[str]:
        """The tokens a signature may be made with: the present one, and the next one while it is being changed."""
        both = (self.auth_token.get_secret_value(), self.auth_token_next.get_secret_value())
        return [token for token in both if token]
