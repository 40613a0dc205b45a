"""What the post reads from the environment (`NOTIFICATIONS_*`, `TWILIO_*`, `VAPID_*`)."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from companion.errors import Misconfigured
from companion.settings import read


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


class VapidSettings(BaseSettings):
    """Who we are to the push services (RFC 8292). Without a key nothing goes by push, and everybody gets SMS."""

    model_config = SettingsConfigDict(env_prefix="VAPID_", extra="ignore")

    private_key: SecretStr = SecretStr("")
    subject: str = ""

    @property
    def ready(self) -> bool:
        """Whether anything can go by push."""
        return bool(self.private_key.get_secret_value() and self.subject)


class Settings(BaseSettings):
    """The post's settings. `institution` stands in the texts after the product's name.

    The two lanes (codes that somebody waits for, and the rest) each have their own pace and their own calls in flight.
    """

    model_config = SettingsConfigDict(env_prefix="NOTIFICATIONS_", extra="ignore")

    sms: Literal["sandbox", "twilio"] = "sandbox"
    sms_per_second: float = Field(10, gt=0)
    in_flight: int = Field(32, gt=0)
    codes_per_second: float = Field(10, gt=0)
    codes_in_flight: int = Field(16, gt=0)
    # Unasked ones to one patient; appointments are never held back.
    messages_a_week: int = Field(7, gt=0)
    institution: str = "UNN"
    twilio: TwilioSettings = Field(default_factory=TwilioSettings)
    vapid: VapidSettings = Field(default_factory=VapidSettings)


def read_settings() -> Settings:
    """The post's settings as the environment has them. Raises `Misconfigured` with a sentence for each that cannot be read."""
    return read(Settings, TwilioSettings, VapidSettings)
