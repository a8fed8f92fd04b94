/* SPDX-License-Identifier: Apache-2.0 */
/* vde.h -- everything of libvde. */
#ifndef VDE_VDE_H
#define VDE_VDE_H

#include <vde/capabilities.h>
#include <vde/check.h>
#include <vde/copy.h>
#include <vde/device.h>
#include <vde/error.h>
#include <vde/image.h>
#include <vde/inspect.h>
#include <vde/repair.h>
#include <vde/rescue.h>
#include <vde/snapshot.h>
#include <vde/txn.h>
#include <vde/usage.h>
#include <vde/view.h>
#include <vde/volume.h>

#define VDE_VERSION_MAJOR 0
#define VDE_VERSION_MINOR 1
#define VDE_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif
/* The library's version, "0.1.0". Static storage. */
VDE_API const char *vde_version(void);
#ifdef __cplusplus
}
#endif
#endif
