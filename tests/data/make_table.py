# SPDX-License-Identifier: Apache-2.0
"""Write the Delta tables that lie beside this script, with the Delta writer of PyPI's deltalake.

    python3 -m venv venv && venv/bin/pip install deltalake==1.6.6 pyarrow && venv/bin/python tests/data/make_table.py

The tables are kept in the repository, so this is only run to make them anew (file names and times then differ):
  orders    partitioned by day: append, append, delete of some rows, overwrite of one partition, schema with all common
            types, statistics, a checkpoint, an application's transaction number
  readings  not partitioned, awkward names: update, merge, a column added, a property set, change data feed
"""

import datetime
import decimal
import pathlib
import shutil
import time

import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)

HERE = pathlib.Path(__file__).parent
PLAIN = WriterProperties(compression="ZSTD")
DAYS = [datetime.date(2026, 11, day) for day in (1, 2, 3)]

ORDERS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("day", pa.date32()),
        pa.field("region", pa.string()),
        pa.field("amount", pa.decimal128(20, 2)),
        pa.field("weight", pa.float64()),
        pa.field("paid", pa.bool_()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("tags", pa.list_(pa.string())),
    ]
)


def order_rows(first, count, days):
    rows = []
    for i in range(first, first + count):
        day = days[i % len(days)]
        rows.append(
            {
                "id": i,
                "day": day,
                "region": None if i % 7 == 0 else ["north", "süd", "o'west %"][i % 3],
                "amount": decimal.Decimal(i * 1999 + 1).scaleb(-2),
                "weight": i / 7,
                "paid": i % 2 == 0,
                "at": datetime.datetime(2026, 11, day.day, i % 24, tzinfo=datetime.UTC),
                "tags": [str(i), "x"] if i % 5 else None,
            }
        )
    return pa.Table.from_pylist(rows, schema=ORDERS)


def properties(operation, transaction=None):
    return CommitProperties(
        custom_metadata={"note": operation}, app_transactions=[transaction] if transaction else None
    )


def make_orders(folder):
    def append(first, count, days, mode="append", predicate=None, transaction=None):
        write_deltalake(
            folder,
            order_rows(first, count, days),
            mode=mode,
            predicate=predicate,
            partition_by=["day"],
            writer_properties=PLAIN,
            name="orders",
            description="Orders of three days",
            commit_properties=properties(mode, transaction),
        )
        time.sleep(0.02)

    append(0, 30, DAYS, transaction=Transaction("loader", 1))
    append(30, 30, DAYS[1:], transaction=Transaction("loader", 2))
    table = DeltaTable(folder)
    table.delete("id >= 40 AND id < 44", writer_properties=PLAIN)
    append(100, 12, DAYS[:1], mode="overwrite", predicate="day = '2026-11-01'")
    DeltaTable(folder).create_checkpoint()
    append(200, 6, DAYS[2:])
    DeltaTable(folder).alter.set_table_properties({"delta.logRetentionDuration": "interval 365 days"})


def make_readings(folder):
    schema = pa.schema([("sensor id", pa.string()), ("value", pa.float32()), ("n", pa.int32())])

    def rows(first, count):
        values = [{"sensor id": f"s{i % 4}/é", "value": i * 0.5, "n": i} for i in range(first, first + count)]
        return pa.Table.from_pylist(values, schema=schema)

    write_deltalake(
        folder,
        rows(0, 20),
        configuration={"delta.enableChangeDataFeed": "true"},
        writer_properties=PLAIN,
    )
    table = DeltaTable(folder)
    table.update(predicate="n = 3", updates={"value": "99.5"}, writer_properties=PLAIN)
    merge = table.merge(rows(15, 10), "t.n = s.n", source_alias="s", target_alias="t", writer_properties=PLAIN)
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    more = rows(40, 5).append_column("note", pa.array(["a", None, "c", "", "e"]))
    write_deltalake(folder, more, mode="append", schema_mode="merge", writer_properties=PLAIN)
    last = rows(60, 3).append_column("note", pa.array(["x"] * 3))
    write_deltalake(folder, last, mode="overwrite", writer_properties=PLAIN)


def main():
    for name, make in (("orders", make_orders), ("readings", make_readings)):
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        make(str(folder))
        table = DeltaTable(str(folder))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{name}: {table.version() + 1} versions, {len(table.file_uris())} files, {size} bytes")


if __name__ == "__main__":
    main()
