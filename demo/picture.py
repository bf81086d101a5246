# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Draw the top of a report as the picture that the README shows, docs/report.png, by Chromium.

    python demo/picture.py                                    # of the demo, whose report demo/run.sh has written
    python demo/picture.py --report report/index.html --output report.png
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIMIT = 200_000  # bytes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--report', type=pathlib.Path, default=ROOT / 'work_dirs/demo/report/index.html')
    parser.add_argument('--output', default=str(ROOT / 'docs/report.png'))
    parser.add_argument('--size', default='1200,1130', help='Width and height in pixels. (default: %(default)s)')
    args = parser.parse_args()
    browser = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    if not browser:
        sys.exit('demo/picture.py: Chromium is not installed')
    if not args.report.is_file():
        sys.exit(f'demo/picture.py: {args.report}: no such file; run bash demo/run.sh')
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([browser, '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
                        '--virtual-time-budget=10000', f'--user-data-dir={folder}/profile',
                        f'--window-size={args.size}', f'--screenshot={folder}/picture.png',
                        args.report.resolve().as_uri()], check=True, stderr=subprocess.DEVNULL)
        Image.open(f'{folder}/picture.png').convert('RGB').quantize(256).save(args.output, optimize=True)
    size = os.path.getsize(args.output)
    if size > LIMIT:
        sys.exit(f'demo/picture.py: {args.output}: has {size} bytes, and {LIMIT} are allowed; give a smaller --size')
    print(f'{args.output}: {size / 1000:.0f} kB')


if __name__ == '__main__':
    main()
