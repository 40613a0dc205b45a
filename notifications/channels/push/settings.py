"""Who we are to the push services, from the environment (`VAPID_*`)."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class VapidSettings(BaseSettings):
    """Who we are to the push services (RFC 8292). Without a key nothing goes by push, and everybody gets SMS."""

    model_config = SettingsConfigDict(env_prefix="VAPID_", extra="ignore")

    private_key: SecretStr = SecretStr("")
    subject: str = ""

    @property
    def ready(self) -> bool:
        """Whether anything can go by push."""
        return bool(self.private_key.get_secret_value() and self.subject)
