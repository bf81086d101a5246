# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A stand-in of ais_bench, Huawei's inference client, in its three ages: STAND_IN_AIS_BENCH=2023|2025|2026.

2023: Ascend/tools at 9d6da90 (June 2023). 2025: gitee ascend/tools at 8da7f6455 (December 2025), which since 2024
checks paths. 2026: Yanguan619/aclruntime at df1f9a44 (August 2026), with the command line of typer. They were run
beside the stand-in, on the stand-in of aclruntime, and did the same. It is as strict as they are and stricter where
they would read wrong memory. Missing: models of dynamic shape, profiling, dumps, AIPP, and options that nobody here
gives. The environment variables are those of the stand-in of aclruntime.
"""
