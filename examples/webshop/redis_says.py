"""Ask Redis at HOST:PORT whether it takes the password in an environment variable, and refuses a wrong one."""

import os
import socket
import sys


def ask(address: str, *commands: str) -> list[str]:
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as connection, connection.makefile("rw") as lines:
        answers = []
        for command in commands:
            lines.write(command + "\r\n")
            lines.flush()
            answers.append(lines.readline().strip())
        return answers


def main() -> int:
    address, password = sys.argv[1], os.environ[sys.argv[2]]
    right = ask(address, f"AUTH {password}", "PING")
    wrong = ask(address, "AUTH not-the-password", "PING")
    print(f"with the declared password: {' '.join(right)}; with another: {' '.join(wrong)}")
    return 0 if right == ["+OK", "+PONG"] and wrong[0].startswith("-WRONGPASS") and "+PONG" not in wrong else 1


if __name__ == "__main__":
    sys.exit(main())
