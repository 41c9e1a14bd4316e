# A thin wrapper around CMake and CTest. Every target installs the missing Debian packages that it needs (as root or
# with sudo) and lists them.

BUILD_TOOLS := cmake ninja-build pkg-config git ca-certificates
BUILD_LIBRARIES := libevent-dev libboost-dev nlohmann-json3-dev libgflags-dev libgoogle-glog-dev libsimdjson-dev prometheus-cpp-dev \
	libyaml-cpp-dev libcctz-dev libssl-dev libdeflate-dev libseccomp-dev libcrypt-dev libsystemd-dev libexpected-dev
BENCH_LIBRARIES := libbenchmark-dev zlib1g-dev
TEST_LIBRARIES := libgtest-dev libgmock-dev
BUILD_PACKAGES := g++ $(BUILD_TOOLS) $(BUILD_LIBRARIES)
RUN_PACKAGES := iperf3 curl
BENCH_PACKAGES := $(BENCH_LIBRARIES) iperf3 python3
# The preset dev builds the benchmarks too.
TEST_PACKAGES := $(BENCH_PACKAGES) $(TEST_LIBRARIES) ccache python3-yaml curl openssl procps iproute2 \
	nftables prometheus slowhttptest wrk sslscan systemd lintian dpkg-dev file man-db shellcheck
SYSTEMD_PACKAGES := debootstrap systemd-container util-linux dpkg-dev file python3
CONTAINER_PACKAGES := debootstrap buildah podman python3
STYLE_PACKAGES := git clang-format shellcheck
LINT_PACKAGES := clang clang-tidy
KERNEL_PACKAGES := qemu-system-x86 qemu-system-arm ipxe-qemu cpio e2fsprogs kmod
FUZZ_PACKAGES := clang libclang-rt-dev

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
# More jobs than cores, because tests mostly wait: a one-second iperf3 test uses hardly any CPU.
TEST_JOBS ?= $(shell echo $$((2 * $$(nproc))))
FUZZ_SECONDS ?= 60
SECONDS ?= 300
KERNEL_TARGETS := kernel_tests

NEED := .ci/install-packages
CONFIGURE_RELEASE := cmake --preset release -DEXPORTER_BENCH=OFF
BUILD_RELEASE := .ci/progress cmake --build --preset release -j $(JOBS)

# The architecture of the package, by Debian's name. Another one than this system's is cross-built, with the preset of
# that name.
NATIVE_ARCH := $(shell dpkg --print-architecture 2>/dev/null)
ARCH := $(NATIVE_ARCH)
CROSS_ARCH := $(filter-out $(NATIVE_ARCH),$(ARCH))
CROSS_COMPILER_amd64 := g++-x86-64-linux-gnu
CROSS_COMPILER_arm64 := g++-aarch64-linux-gnu
CROSS_COMPILER = $(or $(CROSS_COMPILER_$(CROSS_ARCH)),$(error ARCH must be amd64 or arm64))
PACKAGE_ARCH := $(or $(CROSS_ARCH),$(NATIVE_ARCH))
PACKAGE_PRESET := $(or $(CROSS_ARCH),release)
CLANG_TIDY := run-clang-tidy -quiet -p build/tidy -j $(JOBS)
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help run build test test-asan test-tsan test-systemd test-container test-loss test-trixie \
	test-kernels test-kernels-smoke test-mutants bench style lint lint-changed fuzz torture \
	install package-needs package clean

help: ## list the targets
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20

run: ## build, start an iperf3 server and the exporter on loopback, run one probe; Ctrl-C stops them
	@$(NEED) "build and run" $(BUILD_PACKAGES) $(RUN_PACKAGES)
	$(CONFIGURE_RELEASE)
	@echo "Building. The first build takes several minutes, a minute or two of them for the last step."
	$(BUILD_RELEASE) --target iperf3_exporter iperf3_exporter_worker
	@.ci/demo build/release/bin

build: ## build the release programs in build/release/bin
	@$(NEED) "build" $(BUILD_PACKAGES)
	$(CONFIGURE_RELEASE)
	$(BUILD_RELEASE)

test: ## build and run every test that needs no container and no other iperf3
	@$(NEED) "build and test" $(BUILD_PACKAGES) $(TEST_PACKAGES)
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS)
	ctest --preset dev -j $(TEST_JOBS) -LE "systemd|container|loss"

test-asan: ## run the unit, process and fuzz tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(NEED) "build and test" $(BUILD_PACKAGES) $(TEST_PACKAGES)
	cmake --preset asan
	cmake --build --preset asan -j $(JOBS)
	ctest --preset asan -j $(TEST_JOBS)

test-tsan: ## run the unit tests of threaded code under ThreadSanitizer
	@$(NEED) "build and test" $(BUILD_PACKAGES) $(TEST_PACKAGES)
	cmake --preset tsan
	cmake --build --preset tsan -j $(JOBS)
	ctest --preset tsan -j $(TEST_JOBS)

test-systemd: ## install the package under a real systemd in a container (root)
	@$(NEED) "test the package under systemd" $(BUILD_PACKAGES) $(TEST_PACKAGES) $(SYSTEMD_PACKAGES)
	@$(MAKE) --no-print-directory package
	cmake --preset dev
	ctest --preset dev -L systemd

test-container: ## build the image and run it with podman (root)
	@$(NEED) "test the container image" $(BUILD_PACKAGES) $(TEST_PACKAGES) $(CONTAINER_PACKAGES)
	cmake --preset dev
	ctest --preset dev -L container

test-loss: ## UDP loss and authentication between the iperf3 of Debian 12 and of Debian 13 (root)
	@$(NEED) "test between versions of iperf3" $(BUILD_PACKAGES) $(TEST_PACKAGES)
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS) --target iperf3_exporter iperf3_exporter_worker
	ctest --preset dev -L loss

test-trixie: ## build and run every test of `make test` in Debian 13, in a root directory of its own (root)
	@$(NEED) "test on Debian 13" debootstrap util-linux python3
	tests/releases/run.py trixie JOBS=$(JOBS) TEST_JOBS=$(TEST_JOBS)

test-kernels: ## run tests on the kernels of Debian, in emulated machines (root, over an hour); KERNELS=part of a name
	@$(NEED) "test on other kernels" $(BUILD_PACKAGES) $(TEST_PACKAGES) $(KERNEL_PACKAGES)
	@$(MAKE) --no-print-directory package-needs ARCH=arm64
	cmake --preset dev
	cmake --preset arm64-dev
	cmake --build --preset dev -j $(JOBS) --target $(KERNEL_TARGETS)
	cmake --build --preset arm64-dev -j $(JOBS) --target $(KERNEL_TARGETS)
	tests/kernels/run.py $(KERNELS)

test-kernels-smoke: ## run each mode of a test once on the kernel of Debian 12, amd64 and arm64, in emulated machines (root)
	@$(MAKE) --no-print-directory test-kernels KERNELS=smoke KERNEL_TARGETS="iperf3_exporter iperf3_exporter_worker"

test-mutants: ## break the code in one place at a time and expect a test to fail (over an hour); MUTANTS=part of a file's path
	@$(NEED) "build and test" $(BUILD_PACKAGES) $(TEST_PACKAGES)
	tests/mutants/run.py $(MUTANTS)

bench: ## run the benchmarks (seven minutes), compare with the record; JSON in build/bench/
	@$(NEED) "build and measure" $(BUILD_PACKAGES) $(BENCH_PACKAGES)
	cmake --preset release -DEXPORTER_BENCH=ON
	$(BUILD_RELEASE)
	@bench/run.py build/release/bin build/bench

style: ## check the format of the C++ code, and the shell scripts
	@$(NEED) "check the style" $(STYLE_PACKAGES)
	git ls-files -z '*.h' '*.cc' | xargs -0 clang-format --dry-run -Werror
	git grep -lzE '^#!.*/(env )?(ba)?sh$$' | xargs -0 shellcheck -S warning
	shellcheck -S warning -s bash docs/completion/iperf3_exporter.bash

lint: style ## run style, clang's warnings and clang-tidy over all sources (over twenty minutes)
	@$(NEED) "lint" $(BUILD_PACKAGES) $(TEST_PACKAGES) $(LINT_PACKAGES)
	cmake --preset tidy
	cmake --build --preset tidy -j $(JOBS)
	$(CLANG_TIDY) '$(CURDIR)/(common|worker|supervisor|bench|tests)/.*' 2>/dev/null

lint-changed: style ## run style, and clang-tidy over sources changed since the last tag or in the last day
	@$(NEED) "lint" $(BUILD_PACKAGES) $(TEST_PACKAGES) $(LINT_PACKAGES)
	cmake --preset tidy
	@set -e; files=$$(.ci/changed-sources); failed=0; \
	  echo "clang-tidy over $$(echo $$files | wc -w) files; tests without the static analyzer, which takes two thirds of the time"; \
	  echo "$$files" | grep -v '^tests/' | sed 's#.*#^$(CURDIR)/&$$#' | xargs -r $(CLANG_TIDY) 2>/dev/null || failed=1; \
	  echo "$$files" | grep '^tests/' | sed 's#.*#^$(CURDIR)/&$$#' | xargs -r $(CLANG_TIDY) -checks='-clang-analyzer-*' 2>/dev/null || failed=1; \
	  exit $$failed

fuzz: ## run each fuzz target for FUZZ_SECONDS (60)
	@$(NEED) "build and fuzz" $(BUILD_PACKAGES) $(TEST_PACKAGES) $(FUZZ_PACKAGES)
	cmake --preset fuzz
	cmake --build --preset fuzz -j $(JOBS)
	@set -e; for program in build/fuzz/bin/*_fuzzer; do \
	  name=$$(basename $$program); mkdir -p build/fuzz/corpus/$$name; \
	  echo "$$name: $(FUZZ_SECONDS) s"; \
	  $$program -max_total_time=$(FUZZ_SECONDS) -timeout=10 -artifact_prefix=build/fuzz/ \
	    $$(test ! -f tests/fuzz/$$name.dict || echo -dict=tests/fuzz/$$name.dict) build/fuzz/corpus/$$name \
	    $$(ls -d tests/fuzz/corpus/$$name 2>/dev/null); \
	done

torture: ## kill lock holders and waiters at random for SECONDS (300), then again while deleting the lock
	@$(NEED) "build and test" $(BUILD_PACKAGES) $(TEST_PACKAGES)
	cmake --preset dev
	cmake --build --preset dev -j $(JOBS) --target lock_torture
	build/dev/bin/lock_torture --seconds=$(SECONDS)
	build/dev/bin/lock_torture --seconds=$(SECONDS) --unlink

install: ## install to PREFIX (/usr/local), in DESTDIR if set
	@$(NEED) "build" $(BUILD_PACKAGES)
	$(CONFIGURE_RELEASE) -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	$(BUILD_RELEASE)
	DESTDIR=$(DESTDIR) cmake --install build/release --strip

package-needs:
ifeq ($(CROSS_ARCH),)
	@$(NEED) "build the package" $(BUILD_PACKAGES) dpkg-dev file
else
	@$(NEED) "build the package of $(CROSS_ARCH)" $(CROSS_COMPILER) $(BUILD_TOOLS) dpkg-dev file
	.ci/cross-sysroot $(CROSS_ARCH) $(BUILD_LIBRARIES) $(BENCH_LIBRARIES) $(TEST_LIBRARIES) iperf3
endif

package: package-needs ## build the Debian package in build/package/; ARCH=arm64 or ARCH=amd64: of that architecture
	cmake --preset $(PACKAGE_PRESET) -DEXPORTER_BENCH=OFF -DCMAKE_INSTALL_PREFIX=/usr -UEXPORTER_UNIT_DIR \
	  $(if $(REVISION),-DEXPORTER_REVISION=$(REVISION),-UEXPORTER_REVISION)
	.ci/progress cmake --build --preset $(PACKAGE_PRESET) -j $(JOBS)
	rm -f build/package/*_$(PACKAGE_ARCH).deb
	DEB_HOST_ARCH=$(PACKAGE_ARCH) cpack -G DEB --config build/$(PACKAGE_PRESET)/CPackConfig.cmake -B build/package

clean: ## remove all build output
	rm -rf build
