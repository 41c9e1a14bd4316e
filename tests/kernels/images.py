"""What a machine boots from: a distribution's kernel, its user land, and the programs under test.

Kernels and user lands are downloaded once and kept in the folder CACHE. Needs root, for the owners of the files.
"""

import itertools
import lzma
import os
import pathlib
import shutil
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
SOURCE = TESTS.parent
sys.path.insert(0, str(TESTS))
from debian_packages import Packages  # noqa: E402  (the path is set above)

CACHE = SOURCE / "build/kernels"
BUILD_RELEASE = "bookworm"  # the libraries of the programs under test are from there
# What the tests in the machine need, and what the programs under test load.
USER_LAND = ("busybox-static", "coreutils", "dash", "findutils", "iperf3", "libc-bin", "openssl", "procps", "python3",
             "util-linux")
LIBRARIES = ("libcctz2", "libdeflate0", "libevent-core-2.1-7", "libevent-openssl-2.1-7", "libgflags2.2", "libgoogle-glog0v6",
             "libprometheus-cpp-core1.0", "libseccomp2", "libsimdjson14", "libssl3", "libsystemd0", "libyaml-cpp0.7")
# A release unpacks to /usr what another one unpacks to the root.
MERGED_FOLDERS = ("bin", "lib", "lib64", "sbin")
NEEDLESS = ("usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/zoneinfo")
# The root file system is on a virtual disk.
MODULES = ("virtio_pci", "virtio_blk", "ext4")
ARCHITECTURES = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}


def run(*command, **arguments):
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, **arguments)


def cached(folder: pathlib.Path, make) -> pathlib.Path:
    """The folder that `make`, given a temporary folder, fills once."""
    if not folder.is_dir():
        work = folder.with_name(f"{folder.name}.{os.getpid()}")
        try:
            (work / "made").mkdir(parents=True)
            make(work)
            (work / "made").rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder


def unpack(package: pathlib.Path, folder: pathlib.Path, *tar_options: str):
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
        run("tar", "-x", "-C", folder, "--keep-directory-symlink", *tar_options, stdin=archive.stdout)
    if archive.returncode != 0:
        raise RuntimeError(f"dpkg-deb {package}: {archive.returncode}")


def make_disk(folder: pathlib.Path, disk: pathlib.Path):
    """An ext4 file system with the folder's files and some room."""
    used = int(subprocess.run(["du", "-sm", folder], check=True, capture_output=True, text=True).stdout.split()[0])
    disk.unlink(missing_ok=True)
    run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", folder, disk, f"{used * 5 // 4 + 64}M")


def make_merged_folders(root: pathlib.Path):
    for name in MERGED_FOLDERS:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")


def user_land(release: str, architecture: str) -> pathlib.Path:
    """The disk with the release's user land, the libraries of the programs under test beside its own."""
    def make(work: pathlib.Path):
        root = work / "root"
        make_merged_folders(root)
        archives = [Packages(work / "build", BUILD_RELEASE, architecture).download_with_dependencies(*LIBRARIES),
                    Packages(work / "apt", release, architecture).download_with_dependencies(*USER_LAND)]
        # The release's own files last: they replace others of the same name.
        for package in itertools.chain(*archives):
            unpack(package, root, *(f"--exclude=./{name}/*" for name in NEEDLESS))
        for name in ("dev", "proc", "run", "sys", "tmp", "var/tmp"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nprober:x:1000:1000::/:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\nprober:x:1000:\n")
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        make_disk(root, work / "made/disk")
    return cached(CACHE / f"{release}-{architecture}", make) / "disk"


def kernel(package: str, release: str, architecture: str) -> pathlib.Path:
    """The folder with the latest kernel that `package`, such as linux-image-amd64, depends on: `vmlinuz`, and
    `initramfs/` with Busybox and the modules, numbered in the order in which they are loaded."""
    def make(work: pathlib.Path):
        packages = Packages(work / "apt", release, architecture)
        image = packages.dependency(package, r"linux-image-\d\S+")
        contents = work / "contents"
        initramfs = work / "made/initramfs"
        for name in ("dev", "modules", "root"):
            (initramfs / name).mkdir(parents=True)
        make_merged_folders(contents)
        unpack(packages.download(image)[0], contents)
        version = image.removeprefix("linux-image-")
        (contents / f"boot/vmlinuz-{version}").rename(work / "made/vmlinuz")
        for number, module in enumerate(modules(contents, version)):
            content = lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes()
            (initramfs / f"modules/{number:02}-{module.name.removesuffix('.xz')}").write_bytes(content)
        busybox = Packages(work / "busybox", BUILD_RELEASE, architecture).download("busybox-static")
        unpack(busybox[0], initramfs, "./bin/busybox")
    return cached(CACHE / f"{package}-{release}", make)


def modules(contents: pathlib.Path, version: str) -> list[pathlib.Path]:
    run("depmod", "-b", contents, version)
    listed = subprocess.run(["modprobe", "-S", version, "-d", contents, "--show-depends", "-a", *MODULES],
                            check=True, capture_output=True, text=True).stdout
    return list(map(pathlib.Path, dict.fromkeys(
        line.split()[1] for line in listed.splitlines() if line.startswith("insmod"))))


def make_initramfs(folder: pathlib.Path, archive: pathlib.Path):
    """From a kernel's initramfs/, with the present init.sh."""
    shutil.copy(TESTS / "kernels/init.sh", folder / "init")
    files = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    with open(archive, "wb") as output:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=folder, input=files.encode(), stdout=output, check=True)


def programs(binaries: pathlib.Path, disk: pathlib.Path):
    """The disk that the machine has at SOURCE: the programs, the tests and the documents."""
    work = disk.with_suffix(f".{os.getpid()}")
    try:
        target = work / binaries.relative_to(SOURCE)
        target.parent.mkdir(parents=True)
        run("cp", "-a", "--no-preserve=ownership", binaries, target)
        run("cp", "-a", "--no-preserve=ownership", TESTS, SOURCE / "docs", work)
        make_disk(work, disk)
    finally:
        shutil.rmtree(work, ignore_errors=True)
