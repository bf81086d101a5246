# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The command line: the same flags in all ages, and until 2025 all but ambiguous abbreviations are taken."""
import argparse
import os

import aclruntime_device

AGE = aclruntime_device.age()


class Typer(argparse.ArgumentParser):
    """That of 2026: dashes for underscores, no value for a boolean, a table for --help, tracebacks for wrong values."""

    def __init__(self):
        super().__init__(allow_abbrev=False)

    def add_argument(self, *names, **options):
        names = [name.replace('_', '-') for name in names]
        if options.get('type') is boolean:
            options = dict(action='store_true', default=options['default'])
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


def whole_number(least, most=2**31 - 1):
    """A type of numbers from LEAST to MOST. The newer client takes nothing but digits and knows an upper bound."""

    def convert(text):
        if AGE >= 2025 and not text.isdigit():
            raise argparse.ArgumentTypeError(f'{text} contains special characters other than numbers.')
        value = int(text)
        if value < least or (AGE >= 2025 and value > most):
            raise argparse.ArgumentTypeError(f'{text} is an invalid value')
        return value

    return convert


def device(text):
    """One device as a number, or several as a list."""
    if AGE >= 2025 and ',' not in text and not text.isdigit():
        raise argparse.ArgumentTypeError(f'{text} contains special characters other than numbers.')
    numbers = [int(word) for word in text.split(',')]
    for number in numbers:
        if not 0 <= number <= 255:
            raise argparse.ArgumentTypeError(f'{number} of device:{text} is invalid. valid value range is [0, 255]')
    return numbers if ',' in text else numbers[0]


def allowed(path, access, name):
    """Whether the newer client takes PATH. Raises as it does for characters; NAME: what it calls the path."""
    from ais_bench.stand_in.path_check import OpenException, is_allowed
    try:
        return is_allowed(path, access)
    except OpenException:
        raise argparse.ArgumentTypeError(f'{name} path string is illegal. Please check.')


def readable_file(name, suffix):
    """A type of files with a SUFFIX; NAME: what the newer client calls them."""

    def convert(path):
        if not (allowed(path, 'read', name) and os.path.isfile(path) and os.path.splitext(path)[1] == suffix):
            raise argparse.ArgumentTypeError(f'{name} path:{path} is illegal. Please check.')
        return path

    return convert if AGE >= 2025 else str


def input_paths(text):
    """Files or folders, divided by commas. Of folders, only the folder itself is looked at here."""
    if AGE == 2023 or not text:
        return text
    paths = text.split(',')
    for path in paths:
        if not allowed(path, 'read', 'input'):
            raise argparse.ArgumentTypeError(f'input path:{path} is illegal. Please check.')
    return text


def output_folder(path):
    """Both --output and --output_dirname, which is looked for in the working folder and not under --output."""
    if AGE == 2023 or not path:
        return path
    from ais_bench.stand_in.path_check import OpenException, check_string
    try:
        exists = os.path.exists(check_string(path))
    except OpenException:
        raise argparse.ArgumentTypeError('output path string is illegal. Please check.')
    if exists and not os.path.isdir(path):
        raise argparse.ArgumentTypeError('output path is not a directory')
    if not allowed(path, 'write', 'output'):
        raise argparse.ArgumentTypeError(f'output path:{path} is illegal. Please check.')
    return path


def add_flags(parser):
    parser.add_argument('--model', '-m', required=True, type=readable_file('om', '.om'))
    parser.add_argument('--input', '-i', type=input_paths)
    parser.add_argument('--output', '-o', type=output_folder)
    parser.add_argument('--output_dirname', type=output_folder)
    parser.add_argument('--outfmt', default='BIN', choices=['NPY', 'BIN', 'TXT'])
    parser.add_argument('--loop', '-l', type=whole_number(1, 100000), default=1)
    parser.add_argument('--debug', type=boolean, default=False)
    parser.add_argument('--device', '-d', type=device, default=0)
    parser.add_argument('--batchsize', type=whole_number(1))
    parser.add_argument('--pure_data_type', default='zero', choices=['zero', 'random'])
    parser.add_argument('--output_batchsize_axis', type=whole_number(0), default=0)
    parser.add_argument('--warmup_count', type=whole_number(0), default=1)
    if AGE >= 2025:
        parser.add_argument('--divide_input', type=boolean, default=False)


def parse_arguments():
    parser = Typer() if AGE == 2026 else argparse.ArgumentParser()
    add_flags(parser)
    args = parser.parse_args()
    if AGE == 2023:
        args.divide_input = True
    check_combinations(args)
    return args


def check_combinations(args):
    """Refuse, as the client does, with an exception and so with exit status 1."""
    if AGE >= 2025 and args.output_dirname and args.output_dirname.startswith('/'):
        raise ValueError('--output_dirname is an absolute path')
    if args.output_dirname is not None and args.output is None:
        raise RuntimeError('--output_dirname needs --output')
