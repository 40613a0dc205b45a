"""The POST that every measured carrier makes: one SMS as Twilio takes it. Standard library only, the peers use it too."""

import base64
from urllib.parse import urlencode

ACCOUNT, TOKEN, SENDER = "AC" + "0" * 32, "secret", "Folge"
PUBLIC_URL = "https://folge.example.no"
AUTHORIZATION = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
BODY = (
    "Hei Kari. Her er Følge fra UNN. Vi har noen korte spørsmål til deg: folge.example.no/l#AAAAAAAAAAAAAAAAAAAAAA"
    " Eller gå til folge.example.no/k og skriv 123 456."
)


def number(serial: int) -> str:
    """The invented handset that is to receive letter number so-and-so."""
    return f"+47{40_000_000 + serial}"


def form(serial: int) -> dict[str, str]:
    """The fields, as many and as long as the real channel's."""
    return {
        "From": SENDER,
        "To": number(serial),
        "Body": BODY,
        "StatusCallback": f"{PUBLIC_URL}/hooks/twilio/status?attempt={serial:032x}",
        "ValidityPeriod": "36000",
        "SmartEncoded": "false",
    }


def encoded(serial: int) -> bytes:
    """The same, ready to send."""
    return urlencode(form(serial)).encode()
