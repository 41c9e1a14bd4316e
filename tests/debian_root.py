"""A root directory with a small Debian, from the mirror that this host's apt uses. Needs root and debootstrap."""

import pathlib
import shutil
import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror():
    """The URL of this host's Debian packages."""
    for path in sorted(pathlib.Path("/etc/apt/sources.list.d").glob("debian*.sources")):
        for line in path.read_text().splitlines():
            if line.startswith("URIs:"):
                return line.split()[1]
    listed = pathlib.Path("/etc/apt/sources.list")
    for line in listed.read_text().splitlines() if listed.exists() else ():
        words = [word for word in line.split() if not word.startswith("[")]
        if len(words) > 2 and words[0] == "deb":
            return words[1]
    raise RuntimeError("this host's apt has no source of Debian packages")


def source_line(release):
    return f"deb [signed-by={KEYRING}] {mirror()} {release} main\n"


def make_root(directory, packages, release="bookworm", cache=None):
    """Installs that release and the packages into that empty directory, and lets it use this host's mirror. `cache`
    keeps the downloads of the base system."""
    root = pathlib.Path(directory)
    options = [f"--cache-dir={cache}"] if cache else []
    subprocess.run(["debootstrap", "--variant=minbase", *options, release, str(root), mirror()],
                   check=True, stdout=subprocess.DEVNULL)
    (root / "etc/apt/sources.list").write_text(source_line(release))
    # How this host fetches (proxies, snapshots past their date), without its other habits.
    acquire = subprocess.run(["apt-config", "dump", "Acquire"], check=True, capture_output=True, text=True).stdout
    (root / "etc/apt/apt.conf.d/host").write_text(acquire)
    (root / KEYRING.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(KEYRING, root / KEYRING.lstrip("/"))
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    apt_get(root, "update")
    apt_get(root, "install", *packages.split(","))


def apt_get(root, *arguments):
    """apt-get inside a root directory that is not running."""
    result = subprocess.run(["chroot", str(root), "apt-get", "-qq", "-y", "--no-install-recommends", *arguments],
                            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"},
                            capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"apt-get {' '.join(arguments)}: {result.stdout}{result.stderr}")
