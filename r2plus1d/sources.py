# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The sources of mmcv and mmaction2 in ./mmcv and ./mmaction2, with patches/ in them, and the config's place there.

Of the standard library only, with git. setup.sh calls, in the root,

    python -m r2plus1d.sources renew mmcv           # sets ./mmcv aside if its patches have changed
    python -m r2plus1d.sources patch mmcv FOLDER    # unpacks it from the package in FOLDER if it is missing; patches it
    python -m r2plus1d.sources link                 # one config, with a link to it where the original guide puts it
    python -m r2plus1d.sources check                # exit status 1 if something of this is to be done
"""
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, List

# In a source that set-up has unpacked, a digest of its patches: a patch on its own earlier form is not the patch. A
# clone of the user has none; it is kept and patched.
MARK = '.r2plus1d_patches'
CONFIG = Path('r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py')
LINK = Path('mmaction2/configs/recognition/r2plus1d', CONFIG)
EXPORTER = Path('tools/deployment/pytorch2onnx.py')
# dynamic_axes={'0':{0:'-1'}}, which the original guide adds to a call of the exporter
EDIT = r'''dynamic_axes\s*=\s*\{\s*(['"])0\1\s*:\s*\{\s*0\s*:\s*(['"])-1\2\s*,?\s*\}\s*,?\s*\}'''


def set_aside(path: Path) -> str:
    """Rename a file or a folder to a name that is free, and return that."""
    number = 1
    while os.path.lexists(f'{path}.old.{number}'):
        number += 1
    path.rename(f'{path}.old.{number}')
    return f'{path}.old.{number}'


# ---- patches -----------------------------------------------------------------------------------------


def patches_of(name: str) -> List[Path]:
    return sorted(Path('patches', name).glob('*.patch'))


def digest(name: str) -> str:
    return hashlib.sha256(b''.join(patch.read_bytes() for patch in patches_of(name))).hexdigest()


def apply(source: Path, patch: Path, *options: str) -> 'subprocess.CompletedProcess[str]':
    """git apply, without the repository that the source may lie in."""
    environment = dict(os.environ, GIT_CEILING_DIRECTORIES=str(source.resolve().parent))
    command = ['git', 'apply', '--whitespace=nowarn', *options, str(patch.resolve())]
    return subprocess.run(command, cwd=source, env=environment, stderr=subprocess.PIPE, universal_newlines=True)


def is_for(source: Path, patch: Path) -> bool:
    """Most patches are for all versions; with a line "Only for mmcv 1.7.2." in its head one leaves others out."""
    only = re.search(r'^Only for \w+ (.*)\.$', patch.read_text(encoding='utf-8').partition('\ndiff ')[0], re.M)
    texts = [path.read_text(encoding='utf-8').splitlines() for path in source.glob('mm*/version.py')]
    return not only or any(f"__version__ = '{only[1]}'" in lines for lines in texts)


def missing_patches(source: Path, name: str) -> List[Path]:
    """The patches of patches/NAME that the source does not have yet."""
    return [patch for patch in patches_of(name)
            if is_for(source, patch) and apply(source, patch, '-R', '--check').returncode]


def apply_patches(source: Path, name: str) -> None:
    """Apply each missing patch, all of it or nothing."""
    for patch in missing_patches(source, name):
        done = apply(source, patch)
        if done.returncode:
            sys.exit(f'{done.stderr}setup.sh: {patch} does not apply to ./{name}: was a file there edited, or did an '
                     f'earlier version of this script patch it? Move ./{name} away, and set-up unpacks it anew')
        print(f'    applied {patch}')


def undo_edit(exporter: Path) -> None:
    """Take the original guide's edit out of pytorch2onnx.py, if it is there."""
    text = exporter.read_text(encoding='utf-8')
    ours = re.sub(rf'{EDIT}\s*,\s*', '', re.sub(rf',?\s*{EDIT}\s*,?\s*\)', ')', text))
    if ours != text:
        exporter.write_text(ours, encoding='utf-8')
        print(f'    {exporter}: the edit of the original guide (dynamic_axes) is undone: our patch does its work')


# ---- what setup.sh calls -----------------------------------------------------------------------------


def renew(name: str) -> None:
    recover_config()
    mark = Path(name, MARK)
    if mark.exists() and mark.read_text().strip() != digest(name):
        print(f'    patches/{name} has changed: ./{name} is made anew, and the earlier one is now '
              f'./{set_aside(Path(name))}')


def unpack(name: str, folder: Path) -> None:
    """Make ./NAME of the source package in a folder of this disk; it gets its name when it is complete."""
    archive, = folder.glob(f'{name}*.tar.gz')
    source = folder / name
    source.mkdir()
    subprocess.run(['tar', '-xzf', archive, '--no-same-owner', '--strip-components', '1', '-C', source], check=True)
    if (source / 'mmaction/.mim/tools').is_dir():  # where a git clone has them
        for part in ('tools', 'configs'):
            (source / 'mmaction/.mim' / part).rename(source / part)
    apply_patches(source, name)
    (source / MARK).write_text(digest(name) + '\n')
    source.rename(name)


def patch(name: str, folder: str) -> None:
    source = Path(name)
    if not source.exists():
        unpack(name, Path(folder))
    if not (source / 'setup.py').is_file():
        sys.exit(f'setup.sh: ./{name} exists and is no source of {name} (it has no setup.py): move it away')
    if (source / EXPORTER).is_file():
        undo_edit(source / EXPORTER)
    apply_patches(source, name)


def recover_config() -> None:
    """Who has moved the config by the original guide's mv gets it back."""
    if LINK.is_file() and not LINK.is_symlink() and (not CONFIG.exists() or CONFIG.samefile(LINK)):
        LINK.replace(CONFIG)
        print(f'    {CONFIG} was moved to {LINK}: it is here again, with a link there')


def link() -> None:
    """Link the config to where the original guide puts it; another file there is set aside."""
    recover_config()
    if not CONFIG.exists():
        sys.exit(f'setup.sh: {CONFIG} is missing: git checkout -- {CONFIG}')
    if LINK.is_symlink():
        LINK.unlink()
    elif LINK.exists():
        print(f'    {LINK} is another config than the one here, which is the default of all scripts: it is now '
              f'{set_aside(LINK)}')
    LINK.symlink_to(Path('../../../..', CONFIG))


def check() -> None:
    done = LINK.is_symlink() and LINK.is_file() and CONFIG.resolve() == LINK.resolve()
    sys.exit(not done or any(missing_patches(Path(name), name) for name in ('mmcv', 'mmaction2')))


def main() -> None:
    command, *arguments = sys.argv[1:]
    steps: Dict[str, Callable[..., None]] = {'renew': renew, 'patch': patch, 'link': link, 'check': check}
    steps[command](*arguments)


if __name__ == '__main__':
    main()
