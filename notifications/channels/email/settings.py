"""The mail server, from the environment (`SMTP_*`)."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class SmtpSettings(BaseSettings):
    """The server that takes our mail. Without `host` and `sender` (`SMTP_FROM`) nothing goes by e-mail.

    `security`: `starttls` (begun in the clear, and not gone on with unless the server offers it), `tls` from the first byte, or
    `none`, which only a server on this machine may have.
    """

    model_config = SettingsConfigDict(env_prefix="SMTP_", extra="ignore", populate_by_name=True)

    host: str = ""
    port: int = Field(587, gt=0, lt=65536)
    user: str = ""
    password: SecretStr = SecretStr("")
    sender: str = Field("", validation_alias="SMTP_FROM")
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str = ""
    seconds: float = Field(10, gt=0, lt=40)

    @property
    def ready(self) -> bool:
        """Whether anything can go by e-mail."""
        return bool(self.host and self.sender)
