"""What commands leave in folders and on the screen."""

import contextlib
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock


def refuse_existing(
    out: Path,
    overwrite: bool,
    otherwise: str = "name another folder with --out",
):
    """Refuses to write where something is that must not be replaced.

    Args:
        out: The folder.
        overwrite: Whether it may be replaced, if it is a folder.
        otherwise: What else its user can do, for the error.

    Raises:
        FileExistsError: If it is there.
    """
    if not (out.exists() or out.is_symlink()):
        return
    if out.is_symlink() or not out.is_dir():
        raise FileExistsError(f"{out}: exists already, and is not a folder")
    if not overwrite:
        raise FileExistsError(
            f"{out}: exists already; {otherwise}, or replace it with "
            "--overwrite"
        )


def refuse_picture_without_matplotlib(
    is_wanted: bool,
    otherwise: str = ", or leave the picture out with --no-picture",
):
    """Refuses a picture that cannot be drawn, before there is work in it.

    Args:
        is_wanted: Whether there is to be a picture.
        otherwise: What else its user can do, for the error.

    Raises:
        ModuleNotFoundError: If there is and matplotlib is missing.
    """
    if is_wanted and importlib.util.find_spec("matplotlib") is None:
        raise ModuleNotFoundError(
            "the picture needs matplotlib: pip install matplotlib" + otherwise
        )


@contextlib.contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """Yields a folder that gets its name when all of it is there.

    Args:
        out: What it is named in the end; what has that name is replaced.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f".{out.name}-unfinished-"
    ) as parent:
        folder = Path(parent, out.name)
        folder.mkdir()
        yield folder
        rename(folder, out)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps other processes from what this one does in a folder.

    When the process ends, however it does, another may have it.

    Args:
        folder: The folder, which need not exist yet.

    Raises:
        FileExistsError: If another process has it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.with_name(f".{folder.name}.lock")
    lock = filelock.FileLock(file)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise FileExistsError(
            f"{folder}: another process trains there, and holds {file}"
        ) from error
    try:
        yield
    finally:
        # Windows deletes no file that is open; filelock does it there.
        with contextlib.suppress(PermissionError):
            file.unlink(missing_ok=True)
        lock.release()


def rename(folder: Path, out: Path):
    """Gives a folder its name; the old one goes when the new one is there.

    Args:
        folder: The folder.
        out: Its name.
    """
    if not out.exists():
        folder.rename(out)
        return
    with tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f".{out.name}-old-"
    ) as old:
        kept = Path(old, out.name)
        out.rename(kept)
        try:
            folder.rename(out)
        except BaseException:
            kept.rename(out)
            raise


def print_saved(out: Path):
    """Prints what a folder holds."""
    print(f"saved to {out}: {', '.join(sorted(p.name for p in out.iterdir()))}")


def print_table(figures: dict[str, float]):
    """Prints figures by name, one a line."""
    width = max(map(len, figures))
    for name, figure in figures.items():
        print(f"{name:<{width}}  {shown(figure):>10}")


def shown(figure: float) -> str:
    """Returns a figure to read."""
    if isinstance(figure, int) or abs(figure) >= 10_000:
        return f"{figure:,.0f}"
    return f"{figure:.4g}"


def verbose() -> int:
    """Returns Keras' `verbose`: a bar where it can move, else lines."""
    return 1 if sys.stdout.isatty() else 2
