# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The command line: the same flags in all ages, and until 2025 all but ambiguous abbreviations are taken."""
import argparse
import os

from aclruntime import AGE

from ais_bench.stand_in.path_check import OpenException, is_allowed


class Typer(argparse.ArgumentParser):
    """That of 2026: dashes for underscores, no value for a boolean, a table for --help, tracebacks for wrong values."""

    def __init__(self):
        super().__init__(allow_abbrev=False)

    def add_argument(self, *names, **options):
        names = [name.replace('_', '-') for name in names]
        if options.get('type') is boolean:
            options = dict(action='store_true')
        elif 'type' in options:
            options['type'] = with_traceback(options['type'])
        super().add_argument(*names, **options)

    def format_help(self):
        """Cut at the width of the terminal: of a long flag only the begin is left. A sentence has the old spelling."""
        width = int(os.environ.get('COLUMNS', 80))
        flags = [action.option_strings[0] for action in self._actions]
        room = max(map(len, flags)) if width >= 120 else 12
        lines = [f'{flag if len(flag) <= room else flag[:room - 1] + "…":{room}} TEXT' for flag in flags]
        lines.append("such as --output_dirname 'tmp', --divide_input")
        return ''.join(f'│ {line:{width - 3}}│\n' for line in lines)

    def error(self, message):
        unknown = message.partition('unrecognized arguments: ')[2]
        self.exit(2, f'Error: No such option: {unknown.split()[0]}\n' if unknown else f'Error: {message}\n')


def with_traceback(convert):
    def checked(text):
        try:
            return convert(text)
        except argparse.ArgumentTypeError as e:
            raise RuntimeError(e)
    return checked


def boolean(text):
    if text.lower() in ('yes', 'true', 't', 'y', '1'):
        return True
    if text.lower() in ('no', 'false', 'f', 'n', '0'):
        return False
    raise argparse.ArgumentTypeError(f'{text} is none of yes, true, t, y, 1, no, false, f, n, 0')


def digits(text):
    """A number. The newer client takes nothing but digits."""
    if AGE >= 2025 and not text.isdigit():
        raise argparse.ArgumentTypeError(f'{text} contains special characters other than numbers.')
    return int(text)


def positive(text):
    if digits(text) < 1:
        raise argparse.ArgumentTypeError(f'{text} is an invalid value')
    return int(text)


def device(text):
    """One device as a number, or several as a list."""
    numbers = [int(word) for word in text.split(',')] if ',' in text else [digits(text)]
    for number in numbers:
        if not 0 <= number <= 255:
            raise argparse.ArgumentTypeError(f'{number} of device:{text} is invalid. valid value range is [0, 255]')
    return numbers if ',' in text else numbers[0]


def path_for(access, name, fits=os.path.exists):
    """A type of paths that the newer client looks at; NAME: what it calls them. FITS: whether it is of the right kind.

    Of folders, only the folder itself is looked at here. --output_dirname is looked for in the working folder and not
    under --output.
    """
    def convert(text):
        for path in text.split(',') if name == 'input' else [text]:
            try:
                good = is_allowed(path, access) and fits(path)
            except OpenException:
                raise argparse.ArgumentTypeError(f'{name} path string is illegal. Please check.')
            if not good:
                raise argparse.ArgumentTypeError(f'{name} path:{path} is illegal. Please check.')
        return text

    return convert if AGE >= 2025 else str


def add_flags(parser):
    output = path_for('write', 'output', lambda path: os.path.isdir(path) or not os.path.exists(path))
    parser.add_argument('--model', '-m', required=True,
                        type=path_for('read', 'om', lambda path: os.path.isfile(path) and path.endswith('.om')))
    parser.add_argument('--input', '-i', type=path_for('read', 'input'))
    parser.add_argument('--output', '-o', type=output)
    parser.add_argument('--output_dirname', type=output)
    parser.add_argument('--outfmt', default='BIN', choices=['NPY', 'BIN', 'TXT'])
    parser.add_argument('--loop', '-l', type=positive, default=1)
    parser.add_argument('--debug', type=boolean, default=False)
    parser.add_argument('--device', '-d', type=device, default=0)
    parser.add_argument('--batchsize', type=positive)
    parser.add_argument('--warmup_count', type=digits, default=1)
    if AGE >= 2025:
        parser.add_argument('--divide_input', type=boolean, default=False)


def parse_arguments():
    """What does not go together is refused with an exception, and so with exit status 1."""
    parser = Typer() if AGE == 2026 else argparse.ArgumentParser()
    add_flags(parser)
    args = parser.parse_args()
    if AGE == 2023:
        args.divide_input = True
    elif args.output_dirname and os.path.isabs(args.output_dirname):
        raise ValueError('--output_dirname is an absolute path')
    if args.output_dirname and not args.output:
        raise RuntimeError('--output_dirname needs --output')
    return args
