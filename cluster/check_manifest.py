# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Check cluster/rayjob.yaml by KubeRay's own schema, that of a clone of its repository.

    git clone --depth 1 https://github.com/ray-project/kuberay
    python cluster/check_manifest.py kuberay/helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml

Fields that the schema does not know are errors, too. jsonschema, which this needs, comes with ray[data].
"""
import argparse
import os

import jsonschema
import yaml

MANIFEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'rayjob.yaml')


def strict(schema):
    """A schema of Kubernetes as jsonschema takes it: unknown fields are refused, int-or-string is both."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if schema.get('x-kubernetes-int-or-string') is True:
        return {'type': ['integer', 'string']}
    fields = schema.get('properties')
    is_open = 'additionalProperties' in schema or schema.get('x-kubernetes-preserve-unknown-fields') is True
    if isinstance(fields, dict) and schema.get('type') == 'object' and not is_open:
        schema['additionalProperties'] = False
    return schema


def faults(manifest, definition):
    """What the schema of the manifest's version in a CustomResourceDefinition says against it: a list of texts."""
    assert manifest['kind'] == definition['spec']['names']['kind']
    version = manifest['apiVersion'].partition('/')[2]
    schema, = (entry['schema']['openAPIV3Schema'] for entry in definition['spec']['versions']
               if entry['name'] == version)
    # The top level has metadata, which the schema leaves to Kubernetes.
    errors = jsonschema.Draft4Validator(strict(schema['properties']['spec'])).iter_errors(manifest['spec'])
    return [f'spec.{".".join(map(str, error.path))}: {error.message}' for error in errors]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('definition', help='ray.io_rayjobs.yaml of KubeRay')
    parser.add_argument('--manifest', default=MANIFEST, help='(default: cluster/rayjob.yaml)')
    args = parser.parse_args()
    documents = []
    for path in (args.manifest, args.definition):
        with open(path, encoding='utf-8') as f:
            documents.append(yaml.safe_load(f))
    found = faults(*documents)
    if found:
        raise SystemExit('\n'.join(found))
    print(f'{args.manifest}: accepted')


if __name__ == '__main__':
    main()
