# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# What pth2om.sh notes beside an .om, in <name>.om.json: from what, for what and by what it was made. By that it knows an
# .om that need not be made again, and one that was made from another model, which no later step may take.
# Shared by nobody else; uses the variables of pth2om.sh.
# shellcheck shell=bash disable=SC2154

# digest FILE: its SHA-256
digest() { sha256sum "$1" | cut -d ' ' -f 1; }

# write_note FILE TEXT: the file appears whole or not at all.
write_note() {
    printf '%s\n' "$2" >"$scratch/note"
    mv "$scratch/note" "$1"
}

# om_note OM ONNX INPUT_SHAPE: the note of an .om that this run would make from ONNX, which is $model or made from it
om_note() {
    local made_by=atc onnx_sha256=$source_sha256
    [ -z "$aoe" ] || made_by=aoe
    [ "$2" = "$model" ] || onnx_sha256=$(digest "$2")
    printf '{"source_sha256": "%s", "onnx_sha256": "%s", "input_shape": "%s", "soc_version": "%s", "cann_version": "%s",' \
        "$source_sha256" "$onnx_sha256" "$3" "$soc_version" "$cann_version"
    printf ' "made_by": "%s", "precision_mode_v2": "%s", "om_sha256": "%s"}' "$made_by" "$precision_mode_v2" \
        "$(digest "$1")"
}

# is_fresh OM ONNX INPUT_SHAPE: whether the .om is what this run would make
is_fresh() { [ -f "$1" ] && [ "$(cat "$1.json" 2>/dev/null)" = "$(om_note "$@")" ]; }

# An export may give another model than that of the .om files in $work_dir, and may be interrupted. So they are first put
# where no later step finds them, and come back when it is known that they were made from the same model.
set_oms_aside() {
    local om
    aside=$work_dir/.om_set_aside
    for om in "$work_dir"/r2plus1d_bs*.om "$work_dir"/r2plus1d_int8_bs*.om; do
        if [ -f "$om" ]; then
            mkdir -p "$aside"
            mv -f "$om" "$aside"
            [ ! -f "$om.json" ] || mv -f "$om.json" "$aside"
        fi
    done
}

# Sets $source_sha256.
take_oms_back() {
    local om name source deploy=$work_dir/r2plus1d_amct_deploy_model.onnx
    source_sha256=$(digest "$model")
    source="\"source_sha256\": \"$source_sha256\""
    for om in "$aside"/*.om; do
        [ -f "$om" ] || continue
        name=$(basename "$om")
        if [ ! -f "$om.json" ]; then
            say "$work_dir/$name has no note of what it was made from: it is now $name.old"
            mv -f "$om" "$work_dir/$name.old"
        elif grep -qF "$source" "$om.json"; then
            mv -f "$om" "$work_dir"
            mv -f "$om.json" "$work_dir"
        else
            say "$work_dir/$name was made from another model: it is removed"
        fi
    done
    rm -rf "$aside"
    if [ -f "$deploy.json" ] && ! grep -qF "$source" "$deploy.json"; then
        rm -f "$work_dir"/r2plus1d_amct_*
    fi
}
