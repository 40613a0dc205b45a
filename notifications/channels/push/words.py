"""A letter as push: neutral words for a locked screen, and what the service worker needs."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256

from companion.models import Message
from companion.use_cases.messages.letter import Letter
from companion.use_cases.sign_in import Words
from notifications import wording


def push_payload(letter: Message | Letter, words: Words | None, attempt_id: str, *, product: str) -> str:
    """What the service worker gets (JSON): words for a locked screen, where a tap leads, and the id it acknowledges.

    Only that browser can open it, so it may hold the link; the words on the screen tell no more than that there is something.
    """
    text = wording.template(wording.HERE, letter.kind, "push", letter.language)
    said = text.render({**letter.params, "product": product})
    return json.dumps(
        {
            "title": product,
            "body": said,
            "lang": letter.language,
            "url": f"/l#{words.token}" if words else "/staff" if letter.professional_id else "/",
            "tag": topic(letter),
            "ack": attempt_id,
        },
        ensure_ascii=False,
    )


def topic(letter: Message | Letter) -> str:
    """What a push is about, as its push service may know it (RFC 8030, 5.4): the next word on the same thing replaces it."""
    about = (
        letter.check_in_id
        or letter.meeting_id
        or f"{letter.kind}:{letter.professional_id or letter.patient_id}"
    )
    return urlsafe_b64encode(sha256(str(about).encode()).digest()).decode()[:32]
