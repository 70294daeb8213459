// XLA's foreign function interface, version 0.1, in C: the parts of its structures that are read here.
//
// XLA promises to keep their layout; tests/native compares it with the installed jaxlib's xla/ffi/api/c_api.h.
// Not included from there, which would tie the library to the jaxlib it was built with: that header asks for its own
// minor version, which older ones refuse, and 0.1 is what every one from 0.6 on serves.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct Extension {
  size_t struct_size;
  int type;
  struct Extension* next;
} Extension;

typedef struct {
  size_t struct_size;
  Extension* extensions;
  int major, minor;
} Version;

typedef struct {
  size_t struct_size;
  Version api_version;
} Metadata;

typedef struct {
  Extension extension;
  Metadata* metadata;
} MetadataExtension;

typedef struct {
  size_t struct_size;
  Extension* extensions;
  int dtype;
  void* data;
  int64_t rank;
  int64_t* dims;
} Buffer;

typedef struct {
  size_t struct_size;
  Extension* extensions;
  int64_t size;
  int* types;
  Buffer** buffers;
} Buffers;

typedef struct {
  size_t struct_size;
  Extension* extensions;
  const char* message;
  int code;
} Complaint;

typedef struct {
  size_t struct_size;
  Extension* extensions;
  void* error;
} Discarding;

typedef struct {
  size_t struct_size;
  Extension* extensions;
  void* context;
  void (*task)(void*);
  void* data;
} Scheduling;

typedef struct {
  size_t struct_size;
  Extension* extensions;
  void* context;
  int64_t* n;
} Counting;

typedef struct {
  size_t struct_size;
  Extension* extensions;
  Version version;
  const void* internal;
  void* (*error)(Complaint*);
  void* (*unused)(void);
  void (*discard)(Discarding*);
  void* (*more_unused[8])(void);
  void* (*schedule)(Scheduling*);  // on a thread that XLA lends
  void* (*n_threads)(Counting*);   // that it lends
} Api;

typedef struct {
  size_t struct_size;
  Extension* extensions;
  const Api* api;
  void* context;
  int stage;
  Buffers arguments, results;
} CallFrame;

enum { METADATA = 1, BUFFER = 1, MAJOR = 0, MINOR = 1 };
enum { BOOL = 1, INT32 = 4, UINT8 = 6, FLOAT32 = 11 };
enum { INVALID_ARGUMENT = 3, RESOURCE_EXHAUSTED = 8 };
