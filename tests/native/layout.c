// Compiles where xla.h lays its structures out, and numbers things, as the installed jaxlib's own header does.
#include "xla.h"
#include "xla/ffi/api/c_api.h"

#define SAME(ours, field, theirs, name)                                                                      \
  _Static_assert(offsetof(ours, field) == offsetof(theirs, name), #theirs "." #name " lies elsewhere");      \
  _Static_assert(sizeof(((ours*)0)->field) == sizeof(((theirs*)0)->name), #theirs "." #name " has another size")
#define EQUAL(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs " is another number")

// Called XLA_FFI_Extension_Base at first, XLA_FFI_InternalExtension from jaxlib 0.12 on.
typedef __typeof__(((XLA_FFI_Metadata_Extension*)0)->extension_base) TheirExtension;

SAME(Extension, struct_size, TheirExtension, struct_size);
SAME(Extension, type, TheirExtension, type);
SAME(Extension, next, TheirExtension, next);
SAME(Version, major, XLA_FFI_Api_Version, major_version);
SAME(Version, minor, XLA_FFI_Api_Version, minor_version);
SAME(Metadata, api_version, XLA_FFI_Metadata, api_version);
SAME(MetadataExtension, extension, XLA_FFI_Metadata_Extension, extension_base);
SAME(MetadataExtension, metadata, XLA_FFI_Metadata_Extension, metadata);
SAME(Buffer, struct_size, XLA_FFI_Buffer, struct_size);
SAME(Buffer, dtype, XLA_FFI_Buffer, dtype);
SAME(Buffer, data, XLA_FFI_Buffer, data);
SAME(Buffer, rank, XLA_FFI_Buffer, rank);
SAME(Buffer, dims, XLA_FFI_Buffer, dims);
SAME(Buffers, size, XLA_FFI_Args, size);
SAME(Buffers, types, XLA_FFI_Args, types);
SAME(Buffers, buffers, XLA_FFI_Args, args);
SAME(Buffers, size, XLA_FFI_Rets, size);
SAME(Buffers, types, XLA_FFI_Rets, types);
SAME(Buffers, buffers, XLA_FFI_Rets, rets);
SAME(Complaint, struct_size, XLA_FFI_Error_Create_Args, struct_size);
SAME(Complaint, message, XLA_FFI_Error_Create_Args, message);
SAME(Complaint, code, XLA_FFI_Error_Create_Args, errc);
SAME(Discarding, error, XLA_FFI_Error_Destroy_Args, error);
SAME(Scheduling, context, XLA_FFI_ThreadPool_Schedule_Args, ctx);
SAME(Scheduling, task, XLA_FFI_ThreadPool_Schedule_Args, task);
SAME(Scheduling, data, XLA_FFI_ThreadPool_Schedule_Args, data);
SAME(Counting, context, XLA_FFI_ThreadPool_NumThreads_Args, ctx);
SAME(Counting, n, XLA_FFI_ThreadPool_NumThreads_Args, num_threads);
SAME(Api, struct_size, XLA_FFI_Api, struct_size);
SAME(Api, error, XLA_FFI_Api, XLA_FFI_Error_Create);
SAME(Api, discard, XLA_FFI_Api, XLA_FFI_Error_Destroy);
SAME(Api, schedule, XLA_FFI_Api, XLA_FFI_ThreadPool_Schedule);
SAME(Api, n_threads, XLA_FFI_Api, XLA_FFI_ThreadPool_NumThreads);
SAME(CallFrame, extensions, XLA_FFI_CallFrame, extension_start);
SAME(CallFrame, api, XLA_FFI_CallFrame, api);
SAME(CallFrame, context, XLA_FFI_CallFrame, ctx);
SAME(CallFrame, stage, XLA_FFI_CallFrame, stage);
SAME(CallFrame, arguments, XLA_FFI_CallFrame, args);
SAME(CallFrame, results, XLA_FFI_CallFrame, rets);
EQUAL(METADATA, XLA_FFI_Extension_Metadata);
EQUAL(BUFFER, XLA_FFI_ArgType_BUFFER);
EQUAL(BUFFER, XLA_FFI_RetType_BUFFER);
EQUAL(BOOL, XLA_FFI_DataType_PRED);
EQUAL(INT32, XLA_FFI_DataType_S32);
EQUAL(UINT8, XLA_FFI_DataType_U8);
EQUAL(FLOAT32, XLA_FFI_DataType_F32);
EQUAL(INVALID_ARGUMENT, XLA_FFI_Error_Code_INVALID_ARGUMENT);
EQUAL(RESOURCE_EXHAUSTED, XLA_FFI_Error_Code_RESOURCE_EXHAUSTED);
EQUAL(MAJOR, XLA_FFI_API_MAJOR);
