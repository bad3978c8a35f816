"""What to do next about what Ansible says; it often says only what is wrong."""

from __future__ import annotations

import re

ADVICE = (
    (
        "no vault secrets found",
        "name the password in the Site: `stable.vault: {secretRef: {env: NAME}}`, or in ansible.cfg",
    ),
    (
        r"no vault secrets were found|Decryption failed|HMAC verification failed",
        "the vault's password is not the one that this was encrypted with",
    ),
    (r"the role '[^']*' was not found", "put it into `roles/`, or list it in `requirements.yml`"),
    (r"couldn't resolve module/action|Cannot resolve .* to an action", "list its collection in `requirements.yml`"),
    (r"Incorrect \S+ password|Sorry, try again|incorrect password attempt", "correct `ansible_become_password`"),
    (
        r"Missing \S+ password|a password is required",
        "set `ansible_become_password` (vaulted), or let it go without one",
    ),
    (r"No space left on device|Disk quota exceeded", "make room on the host, and apply again: it goes on from there"),
    ("Failed to set permissions on the temporary files", "install the package `acl` on the host"),
    (
        r"python[\d.]*: (?:not found|No such file)|interpreters? found|interpreter .* was not found",
        "install Python 3 on it",
    ),
    ("IDENTIFICATION HAS CHANGED|Host key verification failed", "compare its host key with the one in known_hosts"),
)


# What Ansible says around the reason why a host stopped answering, and instead of one.
AROUND = re.compile(
    r"^(?:Data could not be sent to remote host \S+ Make sure this host can be reached over ssh[:.]"
    r"|Failed to connect to the host via ssh:)\s*",
    re.IGNORECASE,
)


def advised(message: str) -> str:
    """The message, and in a line of its own what helps where that is known."""
    for pattern, help_ in ADVICE:
        if re.search(pattern, message):
            return f"{message}\n{help_}"
    return message


def lost(message: str) -> str:
    """Why a host stopped answering in mid-play, by what Ansible says of it, and what to do next."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    why = AROUND.sub("", lines[-1]) if lines else ""
    told = advised(why or "the connection was lost")
    return told if "\n" in told else f"{told}\nwhen it answers again, apply again: what was begun is finished then"
