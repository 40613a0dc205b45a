"""What the domain reads from the environment (`COMPANION_*`)."""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from companion.errors import Misconfigured
from companion.rules.access import Level
from companion.rules.owners import LADDER, Rung

AnySettings = TypeVar("AnySettings", bound=BaseSettings)


def _by_name(given: object) -> object:
    if isinstance(given, Level):
        return given
    if given in Level.__members__:
        return Level[str(given)]
    raise ValueError(f"must be one of {', '.join(Level.__members__)}")


# In the environment a level is written as the house calls it.
NamedLevel = Annotated[Level, BeforeValidator(_by_name)]


def _rungs(given: object) -> object:
    named = [one.strip() for one in given.split(",") if one.strip()] if isinstance(given, str) else given
    if isinstance(named, list) and (wrong := [one for one in named if one not in LADDER]):
        raise ValueError(f"{wrong[0]!r} is not one of {', '.join(LADDER)}")
    return tuple(named) if isinstance(named, list) else named


# In the environment the steps stand with commas between; their order is the house's.
Rungs = Annotated[tuple[Rung, ...], NoDecode, BeforeValidator(_rungs)]
Environment = Literal["production", "test", "demo"]

# Keys for invented people only: `production` refuses to start without its own.
_DEMO_KEY = "k0:Rm9yIG9wcGRpa3RlZGUgcGVyc29uZXIsIGJhcmUgZiE="


class Settings(BaseSettings):
    """The domain's settings. `production` is the default and the strictest."""

    model_config = SettingsConfigDict(env_prefix="COMPANION_", extra="ignore")

    database_url: str = "sqlite:///var/companion.sqlite3"
    environment: Environment = "production"
    keys: SecretStr = SecretStr("")
    index_key: SecretStr = SecretStr("")
    public_url: str = "http://127.0.0.1:8000"
    product_name: str = "Følge"
    level_passport: NamedLevel = Level.high
    level_check_in: NamedLevel = Level.code
    escalation: Rungs = LADDER

    def require(self) -> "Settings":
        """Itself, ready to use. Raises `Misconfigured` when production lacks its keys."""
        if self.environment == "production":
            for name in ("keys", "index_key"):
                if not getattr(self, name).get_secret_value():
                    raise Misconfigured(f"COMPANION_{name.upper()} is not set; see README, configuration")
            return self
        update = {}
        if not self.keys.get_secret_value():
            update["keys"] = SecretStr(_DEMO_KEY)
        if not self.index_key.get_secret_value():
            update["index_key"] = SecretStr(_DEMO_KEY.split(":")[1])
        return self.model_copy(update=update)

    @property
    def allow_synthetic(self) -> bool:
        """Whether synthetic national ids are taken; never in production."""
        return self.environment != "production"

    @property
    def allow_loopback(self) -> bool:
        """Whether a push service on this machine may be called; only where the people are invented."""
        return self.environment in ("demo", "test")


def read(kind: type[AnySettings], *within: type[BaseSettings]) -> AnySettings:
    """Settings as the environment has them; `within` are kinds that are read as a part of it.

    Raises `Misconfigured` with a sentence for every one that cannot be read.
    """
    try:
        return kind()
    except ValidationError as wrong:
        kinds: tuple[type[BaseSettings], ...] = (kind, *within)
        named = {one.__name__: one for one in kinds}
        raise Misconfigured("\n".join(_problems(named[wrong.title], wrong))) from None


def _problems(kind: type[BaseSettings], wrong: ValidationError) -> Iterator[str]:
    prefix = kind.model_config["env_prefix"]
    # Never what was given: it may be a secret.
    for error in wrong.errors(include_input=False, include_context=False, include_url=False):
        name = "_".join(str(part) for part in error["loc"]).upper()
        yield f"{name if name.startswith(prefix) else prefix + name}: {error['msg'].removeprefix('Value error, ')}"
