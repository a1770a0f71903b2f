"""Git: the revision of the source tree, and whether a file is committed."""

import subprocess
from pathlib import Path


def revision() -> str | None:
    """Revision of the source tree, followed by `+` if it has uncommitted changes; None outside git."""
    package = Path(__file__).parents[1]
    code = (str(package), str(package.parent / "envs"))  # only code: files of experiments change during runs
    changed = _git(package, "status", "--porcelain", "--untracked-files=no", "--", *code)
    head = _git(package, "rev-parse", "HEAD")
    return None if changed is None or head is None else head.strip() + "+" * bool(changed)


def unclean(revision: str | None) -> bool:
    """Whether a revision is that of a tree with uncommitted changes, or one of several revisions is."""
    return "+" in (revision or "")


def joined(before: str | None, now: str | None) -> str | None:
    """The revisions of a run that was continued, such as `1786b1c, 55a2ed3+`."""
    parts = [*(before or "").split(", "), now]
    return ", ".join(dict.fromkeys(filter(None, parts))) or None


def committed(file: Path) -> bool:
    """Whether the file is in the last commit of the repository that its folder belongs to."""
    return _git(file.parent, "cat-file", "-e", f"HEAD:./{file.name}") is not None


def _git(where: Path, *words: str) -> str | None:
    """Output of a git command in a folder; None if it fails or git is missing."""
    command = ["git", "-C", str(where), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
