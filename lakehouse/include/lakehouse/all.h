/* SPDX-License-Identifier: Apache-2.0 */
/* all.h -- everything of liblakehouse. */
#ifndef LAKEHOUSE_ALL_H
#define LAKEHOUSE_ALL_H

#include <lakehouse/changes.h>
#include <lakehouse/delta.h>
#include <lakehouse/features.h>
#include <lakehouse/file.h>
#include <lakehouse/history.h>
#include <lakehouse/iceberg.h>
#include <lakehouse/lakehouse.h>
#include <lakehouse/namespace.h>
#include <lakehouse/restore.h>
#include <lakehouse/status.h>
#include <lakehouse/table.h>
#include <lakehouse/tag.h>
#include <lakehouse/timetravel.h>
#include <lakehouse/txn.h>
#endif
