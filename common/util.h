/*
 * util - a macro or two that every file may use. No functions.
 */
#ifndef COMMON_UTIL_H
#define COMMON_UTIL_H

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
