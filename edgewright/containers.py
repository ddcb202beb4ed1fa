"""The docker and podman engines: find the client that works, build images, and the command line of a step."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from edgewright import archives, base, proc
from edgewright.config import Stage
from edgewright.engine import MAIN, VOLUME, Environment, Job, fingerprint, variables
from edgewright.environments import exclusively, make
from edgewright.errors import EngineMissing
from edgewright.supply import LOOPBACK, NETWORK, PIP, Supply, settings_for

# Where podman looks for the program behind --init (containers.conf(5), helper_binaries_dir); Debian only recommends it.
INIT = ("/usr/libexec/podman", "/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/lib/podman")
CAP_SYS_RESOURCE = 24  # linux/capability.h
IMAGE_USER = 10001  # the user that the Dockerfiles name, for when root itself runs us


class Container:
    """docker 20.10 or newer with BuildKit (with or without buildx), or podman 4.3 or newer."""

    hermetic = True

    def __init__(self, name: str, root: Path, supply: Supply = NETWORK) -> None:
        self.name = name
        self.root = root
        self.supply = supply
        self.base = base.load_base(root)
        self.program = name  # `version` replaces it with the client that answers
        self.build_words: list[str] = ["build"]
        self.rootless = False
        self.foundation: base.Foundation | None = None  # the base that this engine has, once it has been asked

    # --- asking -----------------------------------------------------------------------------------------------------------

    def version(self) -> str:
        """Find a client whose engine answers and which can build; return the engine's version."""
        reasons = [f"{self.name} is not installed"]
        for program in _candidates(self.name):
            code, text = proc.capture([program, "info", "--format", self._info_format()])
            found = re.match(r"(\d+\.\d+\S*) (.*)$", text.splitlines()[-1] if text else "")
            if code or not found:
                reasons.append(f"{program}: {_first_line(text)}")
                continue
            self.rootless = "rootless" in found[2] or found[2] == "true"
            if self.name == "podman" and (problem := podman_problem()):
                reasons.append(f"{program}: {problem}")
                continue
            words = self._build_words(program)
            if words:
                self.program, self.build_words = program, words
                return found[1]
            reasons.append(f"{program}: needs buildx to build")
        raise EngineMissing(
            f"{self.name}: {reasons[-1] if len(reasons) < 3 else '; '.join(reasons[1:])}", self._hint(reasons)
        )

    def _info_format(self) -> str:
        if self.name == "podman":
            return "{{.Version.Version}} {{.Host.Security.Rootless}}"
        return "{{.ServerVersion}} {{.SecurityOptions}}"

    def _build_words(self, program: str) -> list[str]:
        """Return how this client is asked for a BuildKit build; nothing if it cannot."""
        if self.name == "podman":
            return ["build"]
        if proc.capture([program, "buildx", "version"])[0] == 0:
            return ["buildx", "build", "--load"]
        # Before 23.0 the client could speak to BuildKit itself; since then it leaves that to buildx.
        major = re.search(r"version (\d+)\.", proc.capture([program, "--version"])[1])
        return ["build"] if major and int(major[1]) < 23 else []

    def _hint(self, reasons: list[str]) -> str:
        text = " ".join(reasons)
        if "permission denied" in text.lower():
            return f"sudo usermod -aG {self.name} $USER, then log in again   or   ENGINE=venv"
        if len(reasons) == 1:
            return f"sudo apt-get install {'docker.io' if self.name == 'docker' else 'podman'}   or   ENGINE=venv"
        if "catatonit" in text:
            return "sudo apt-get install catatonit"
        if "containers.conf" in text:
            return "printf '[containers]\\ndefault_ulimits = []\\n' | sudo tee -a /etc/containers/containers.conf"
        if "buildx" in text:
            return "sudo apt-get install docker-buildx   or   ENGINE=venv"
        return f"sudo systemctl start {self.name}   or   ENGINE=venv"

    # --- environments -----------------------------------------------------------------------------------------------------

    def _named(self, stage: Stage, foundation: base.Foundation) -> Environment:
        total = fingerprint(self.root, stage, base.contents(self.program, foundation))
        return Environment(stage, f"localhost/edgewright-{stage.name}:{total[:12]}", total)

    def _foundation(self) -> base.Foundation | None:
        self.foundation = self.foundation or base.present(self.program, self.base)
        return self.foundation

    def find(self, stage: Stage) -> Environment | None:
        """Return the stage's image if it is there."""
        foundation = self._foundation()
        environment = self._named(stage, foundation) if foundation else None
        if environment and proc.capture([self.program, "image", "inspect", environment.name])[0] == 0:
            return environment
        return None

    def prepare(self, stage: Stage) -> Environment:
        """Return the stage's image; load or build it, and get the base it stands on, if need be."""
        if found := self.find(stage):
            return found
        with exclusively(f"{self.name}-base"):
            foundation = self.foundation = self._foundation() or base.obtain(self.program, self.base, self.supply)
        environment = self._named(stage, foundation)
        with exclusively(f"{self.name}-{stage.name}-{environment.fingerprint[:12]}"):
            if self.find(stage) is None and not archives.load(self.program, environment.name, self.supply):
                self.build(environment, foundation.name)
        return environment

    def build(self, environment: Environment, foundation: str, *words: str) -> None:
        """Build an image; `words` are more options of the engine's own."""
        with self.supply.links(environment.stage, self.root) as links, settings_for(links) as settings:
            argv = self.build_argv(environment, foundation, settings)
            argv = [*argv[:-1], *words, argv[-1]]
            env = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
            make(environment, argv, f"building {environment.name}", cwd=self.root, env=env)

    def build_argv(self, environment: Environment, foundation: str, settings: Path | None = None) -> list[str]:
        """Return the command line that builds an image; `settings` are those of pip for a build without a network.

        The context is the project's root, less what .dockerignore leaves out.
        """
        argv = [self.program, *self.build_words, "--file", f"docker/{environment.stage.name}/Dockerfile"]
        argv += ["--build-arg", f"BASE_IMAGE={foundation}", "--tag", environment.name]
        if self.name == "podman":
            argv += ["--layers", "--format", "docker"]
        if settings:  # a proxy that the client hands to every build would not find our loopback
            argv += ["--network", "host", "--build-arg", f"no_proxy={LOOPBACK}"]
        for secret, path in {**secrets(), **({"pip_conf": settings / PIP} if settings else {})}.items():
            argv += ["--secret", f"id={secret},src={path}"]
        return [*argv, "."]

    # --- steps ------------------------------------------------------------------------------------------------------------

    def argv(self, environment: Environment, job: Job) -> list[str]:
        """Return the command line that runs `job` in a container. Pure."""
        limits = job.limits
        argv = [self.program, "run", "--rm", "--init", "--name", job.name]
        argv += ["--interactive"] if job.interactive else []
        # No network, no capability, nothing writable but the step's folder and a temporary one: a .pt is a program.
        argv += ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        argv += ["--user", self._user(), "--pids-limit", str(limits.processes), "--memory", limits.memory]
        # torch's data loaders hand batches over in shared memory; the default of 64 MB is too small for them.
        argv += ["--shm-size", limits.shm, "--tmpfs", f"/tmp:rw,nosuid,nodev,size={limits.tmp}"]
        if self.name == "podman":
            # SELinux would need every mounted folder relabelled, the user's data set too.
            argv += ["--security-opt", "label=disable"]
            argv += ["--userns", "keep-id"] if self.rootless else []
        if job.gpu:
            argv += ["--gpus", "all"] if self.name == "docker" else ["--device", "nvidia.com/gpu=all"]
        if job.conditions.core is not None:
            argv += ["--cpuset-cpus", str(job.conditions.core)]
        for name, value in {**variables(limits, "/tmp"), **job.conditions.variables}.items():
            argv += ["--env", f"{name}={value}"]
        argv += _bind(job.volume, VOLUME, read_only=True)
        argv += _bind(job.volume / job.folder, f"{VOLUME}/{job.folder}", read_only=False)
        for mount in job.mounts:
            argv += _bind(mount.source, f"{VOLUME}/{mount.target}", read_only=True)
        argv += ["--workdir", VOLUME]
        if job.program == MAIN:
            return [*argv, environment.name, job.request]
        program = f"/opt/stage/{environment.stage.name}/{job.program}"
        return [*argv, "--entrypoint", "/opt/env/bin/python", environment.name, program, job.request]

    def _user(self) -> str:
        if os.getuid() == 0:
            return f"{IMAGE_USER}:{IMAGE_USER}"
        if self.rootless and self.name == "docker":
            return "0:0"  # which a rootless daemon maps to us, the only user who may write to our folder
        return f"{os.getuid()}:{os.getgid()}"

    def take(self, folder: Path) -> None:
        """Give a step's folder to the user that its container runs as. Only root has to: others run it as themselves."""
        if os.getuid() == 0:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, IMAGE_USER, IMAGE_USER, follow_symlinks=False)

    def owner(self) -> int:
        """Return whose files a step leaves: rootless engines map the user in the container to us."""
        return IMAGE_USER if os.getuid() == 0 else os.getuid()

    def sweep(self, job: Job) -> str:
        """End containers of this step in this volume: whoever started one is gone, for it would have the step's lock."""
        named = ["--all", "--filter", f"name=^{job.name.rpartition('-')[0]}-", "--format", "{{.Names}}"]
        code, text = proc.capture([self.program, "ps", *named])
        names = text.split() if code == 0 else []
        if names:
            proc.capture([self.program, "rm", "--force", *names])
        return ", ".join(names)

    def stop(self, job: Job) -> None:
        """End the job's container: ending the client alone would leave it running."""
        proc.capture([self.program, "kill", job.name])
        proc.capture([self.program, "rm", "--force", job.name])


def podman_problem() -> str:
    """Return why podman would build but not run a step here, or nothing."""
    if not any(Path(folder, "catatonit").exists() for folder in INIT):
        return "its init, catatonit, is not installed"
    # As root it raises the number of open files, unless told not to. A root in a container (a CI job's) may not have that right.
    status = Path("/proc/self/status")
    capabilities = re.search(r"CapEff:\s*(\w+)", status.read_text()) if status.exists() else None
    if os.getuid() == 0 and capabilities and not int(capabilities[1], 16) >> CAP_SYS_RESOURCE & 1:
        configuration = Path(os.environ.get("CONTAINERS_CONF", "/etc/containers/containers.conf"))
        if not configuration.exists() or "default_ulimits" not in configuration.read_text():
            return "root may not raise limits here, and containers.conf does not say that it need not"
    return ""


def secrets() -> dict[str, Path]:
    """Return the files that a build may read and that never become part of an image: a corporate CA and a pip.conf."""
    wanted = {
        "ca": ("EDGEWRIGHT_CA", "PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
        "pip_conf": ("EDGEWRIGHT_PIP_CONF", "PIP_CONFIG_FILE"),
    }
    found = {}
    for secret, names in wanted.items():
        path = next((os.environ[name] for name in names if Path(os.environ.get(name) or "-").is_file()), None)
        if path:
            found[secret] = Path(path)
    return found


def _bind(source: Path, target: str, *, read_only: bool) -> list[str]:
    fields = ["type=bind", f"source={source}", f"target={target}"] + (["readonly"] if read_only else [])
    # The value is one line of CSV: a folder's name may hold a comma or a quote.
    quoted = ['"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text for text in fields]
    return ["--mount", ",".join(quoted)]


def _candidates(program: str) -> Iterator[str]:
    """Yield every file of that name on PATH, in order: the first one need not be the one that works."""
    seen = set()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(program, path=folder)
        if found and os.path.realpath(found) not in seen:
            seen.add(os.path.realpath(found))
            yield found


def _first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    # docker says what matters at the end, after "errors pretty printing info" and the client's own facts.
    wanted = next((line for line in lines if "cannot connect" in line.lower() or "denied" in line.lower()), None)
    return (wanted or (lines[0] if lines else "no answer"))[:200]
