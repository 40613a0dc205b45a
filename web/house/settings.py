"""What the web server reads from the environment (`WEB_*`)."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class WebSettings(BaseSettings):
    """The server's settings. An empty issuer means: that door is shut."""

    model_config = SettingsConfigDict(env_prefix="WEB_", extra="ignore")

    oidc_patient_issuer: str = ""
    oidc_patient_client_id: str = ""
    oidc_patient_client_key: SecretStr = SecretStr("")
    oidc_patient_acr: str = "idporten-loa-high"
    oidc_patient_scope: str = "openid profile"
    oidc_patient_pid_claim: str = "pid"

    oidc_professional_issuer: str = ""
    oidc_professional_client_id: str = ""
    oidc_professional_client_key: SecretStr = SecretStr("")
    oidc_professional_acr: str = "Level4"
    oidc_professional_scope: str = "openid profile helseid://scopes/identity/pid"
    oidc_professional_pid_claim: str = "helseid://claims/identity/pid"

    # How long a person waits for a provider before we say that it does not answer.
    oidc_seconds: float = Field(6, gt=0)

    # There is no other yet, and asking for one must not look as if there were.
    video: Literal["room"] = "room"
    turn_urls: str = ""
    turn_secret: SecretStr = SecretStr("")

    trusted_proxies: str = ""
    metrics_port: int | None = Field(None, gt=0, lt=65536)
    security_contact: str = ""
    # More than one on PostgreSQL only.
    processes: int = Field(1, gt=0, le=64)
    # Pages served at the same time; each holds a thread and a database connection (notes: three times the default's throughput).
    in_flight: int = Field(4, gt=0)
    max_body: int = Field(1_000_000, gt=0)
