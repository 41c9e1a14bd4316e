"""Certificates made on the spot with openssl, in a directory that goes away."""

import pathlib
import shutil
import subprocess
import tempfile


class Certificates:
    """A CA, an intermediate one, server certificates, client certificates: right, expired, of another CA, without the
    name, with a weak key."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="certificates_"))
        self.ca("ca")
        self.ca("other_ca")
        self.issue("server", "ca", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.issue("server2", "ca", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.issue("rsa_server", "ca", "subjectAltName=DNS:localhost,IP:127.0.0.1", rsa=2048)
        names = "subjectAltName=DNS:scraper.example,IP:192.0.2.7,IP:2001:db8::7,email:ops@example.org,URI:spiffe://example/scraper"
        self.issue("right", "ca", names)
        self.issue("nameless", "ca", "keyUsage=digitalSignature")
        self.issue("expired", "ca", names, days="0")  # at once: OpenSSL 3.5 takes no negative number
        self.issue("wrong", "other_ca", names)
        self.issue("not_for_clients", "ca", names + "\nextendedKeyUsage=serverAuth")
        self.issue("weak", "ca", names, rsa=1024)
        self.issue("intermediate", "ca", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign")
        self.issue("chained", "intermediate", "subjectAltName=DNS:localhost,IP:127.0.0.1")

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return str(self.directory / name)

    def text(self, name):
        return (self.directory / name).read_text()

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.directory)

    def key(self, name, rsa=None):
        """Of so many bits, or of P-256."""
        algorithm = ("RSA", f"rsa_keygen_bits:{rsa}") if rsa else ("EC", "ec_paramgen_curve:P-256")
        self.openssl("genpkey", "-algorithm", algorithm[0], "-pkeyopt", algorithm[1], "-out", f"{name}.key")

    def ca(self, name):
        self.key(name)
        self.openssl("req", "-x509", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-days", "30", "-out", f"{name}.pem",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, ca, extensions, days="30", rsa=None):
        self.key(name, rsa)
        (self.directory / f"{name}.ext").write_text(extensions + "\nauthorityKeyIdentifier=keyid\n")
        self.openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
                     "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem")
