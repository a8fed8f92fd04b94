# SPDX-License-Identifier: Apache-2.0
"""The metadata that VDE prints for an Iceberg table is accepted by pyiceberg's parser and says what was committed."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from pyiceberg.table.metadata import TableMetadataUtil

VDECTL = os.environ["VDECTL"]


def vdectl(*arguments, text=None):
    done = subprocess.run([VDECTL, *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"vdectl {' '.join(arguments)}: {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def commit(image, name, number):
    add = {"add": {"path": f"part-{number}.parquet", "partitionValues": {"day": f"2026-11-{number + 1:02d}"},
                   "size": 1000 + number, "modificationTime": 1790000000000, "dataChange": True,
                   "stats": json.dumps({"numRecords": 10 + number})}}
    vdectl("txn", "commit", image, text=json.dumps({"tables": [{"table": name, "operation": "WRITE", "actions": [add]}]}))


def check(metadata, versions):
    """Facts that pyiceberg derived from our document."""
    assert metadata.format_version == 2, metadata.format_version
    schema = metadata.schema_by_id(metadata.current_schema_id)
    names = [field.name for field in schema.fields]
    assert names == ["id", "day", "amount", "tags"], names
    assert schema.find_field("id").required and not schema.find_field("day").required
    assert str(schema.find_field("amount").field_type) == "decimal(12, 2)", schema.find_field("amount")
    ids = [field.field_id for field in schema.fields]
    assert len(set(ids)) == 4 and metadata.last_column_id >= max(ids), (ids, metadata.last_column_id)
    spec = metadata.specs()[metadata.default_spec_id]
    assert [str(f.transform) for f in spec.fields] == ["identity"], spec
    snapshots = sorted(metadata.snapshots, key=lambda s: s.sequence_number)
    assert len(snapshots) >= versions, (len(snapshots), versions)
    assert metadata.current_snapshot_id == snapshots[-1].snapshot_id
    assert metadata.last_sequence_number == snapshots[-1].sequence_number
    for earlier, later in zip(snapshots, snapshots[1:]):
        assert later.parent_snapshot_id == earlier.snapshot_id, (earlier, later)
        assert later.sequence_number > earlier.sequence_number and later.timestamp_ms >= earlier.timestamp_ms
    assert snapshots[-1].summary.operation.value == "append", snapshots[-1].summary


def check_specs(image):
    """Transforms as pyiceberg understands them, and a spec beside the earlier one."""
    vdectl("table", "create", image, "ice.p", "--schema", "id BIGINT, ts TIMESTAMP, name STRING", "--format", "iceberg",
           "--partition-by", "bucket(16,id),days(ts)")
    metadata = TableMetadataUtil.parse_raw(vdectl("table", "show", image, "ice.p", "--metadata-json"))
    assert [str(f.transform) for f in metadata.spec().fields] == ["bucket[16]", "day"], metadata.spec()
    vdectl("table", "evolve", image, "ice.p", "--partition-by", "truncate(2,name),hours(ts)")
    metadata = TableMetadataUtil.parse_raw(vdectl("table", "show", image, "ice.p", "--metadata-json"))
    assert [str(f.transform) for f in metadata.spec().fields] == ["truncate[2]", "hour"], metadata.spec()
    assert [f.field_id for spec in metadata.partition_specs for f in spec.fields] == [1000, 1001, 1002, 1003]
    assert metadata.last_partition_id == 1003 and metadata.default_spec_id == 1


def main():
    with tempfile.TemporaryDirectory(prefix="vde-iceberg-") as scratch:
        image = str(pathlib.Path(scratch) / "t.vde")
        vdectl("format", image, "--size", "64M")
        vdectl("namespace", "create", image, "ice")
        vdectl("table", "create", image, "ice.t", "--schema",
               "id BIGINT NOT NULL, day DATE, amount DECIMAL(12,2), tags ARRAY<STRING>",
               "--partition-by", "day", "--format", "iceberg")
        for number in range(5):
            commit(image, "ice.t", number)
            metadata = TableMetadataUtil.parse_raw(vdectl("table", "show", image, "ice.t", "--metadata-json"))
            check(metadata, number + 1)
        older = TableMetadataUtil.parse_raw(vdectl("table", "show", image, "ice.t@v2", "--metadata-json"))
        assert older.table_uuid == metadata.table_uuid and older.last_sequence_number < metadata.last_sequence_number
        check_specs(image)
    print("8 documents accepted by pyiceberg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
