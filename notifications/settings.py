"""What the post reads from the environment (`NOTIFICATIONS_*`; each way's own beside it)."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from companion.settings import read


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


def read_settings() -> Settings:
    """The post's settings as the environment has them. Raises `Misconfigured` with a sentence for each that cannot be read."""
    return read(Settings)
