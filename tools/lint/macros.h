/* SPDX-License-Identifier: Apache-2.0 */
/* macros.h -- put in front of every file that cppcheck looks at, which does not read system headers: loops of jansson that
 * it would take for calls. */
#ifndef LINT_MACROS_H
#define LINT_MACROS_H
#define json_array_foreach(array, index, value)                                                                        \
    for (index = 0; index < json_array_size(array) && (value = json_array_get(array, index)); index++)
#define json_object_foreach(object, key, value)                                                                        \
    for (key = json_object_iter_key(json_object_iter(object)); key && (value = json_object_get(object, key));          \
         key = json_object_iter_key(json_object_iter_next(object, json_object_key_to_iter(key))))
#endif
