"""Keys, users and modules for iperf3's own authentication."""

import hashlib
import pathlib
import subprocess

PASSWORD = "correct-horse-7b2"
WRONG = "battery-staple-9c1"


def make_key(directory, name):
    """NAME.pem and NAME.pub."""
    private, public = directory / f"{name}.pem", directory / f"{name}.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-quiet", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)


class AuthenticationFiles:
    """What a server and an exporter need, in a directory."""

    # By module: the rest of its `auth`.
    MODULES = {
        "right": "password_file: password, rsa_public_key_file: server.pub",
        "right_pkcs1": "password_file: password, rsa_public_key_file: server.pub, pkcs1_padding: true",
        "wrong_password": "password_file: wrong, rsa_public_key_file: server.pub",
        "wrong_key": "password_file: password, rsa_public_key_file: other.pub",
    }

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        make_key(self.directory, "server")
        make_key(self.directory, "other")
        digest = hashlib.sha256(f"{{probe}}{PASSWORD}".encode()).hexdigest()
        (self.directory / "users").write_text(f"probe,{digest}\n")
        (self.directory / "password").write_text(PASSWORD + "\n")
        (self.directory / "wrong").write_text(WRONG + "\n")
        self.config = self.directory / "modules.yml"
        self.config.write_text("modules:\n" + "".join(
            f"  {name}: {{period: 1s, override: [period], auth: {{username: probe, {rest}}}}}\n"
            for name, rest in self.MODULES.items()))

    @property
    def server_arguments(self):
        return ["--rsa-private-key-path", str(self.directory / "server.pem"), "--authorized-users-path",
                str(self.directory / "users")]

    @property
    def exporter_flag(self):
        return f"--config.file={self.config}"
