/* A simulated libcuda: what starts CUDA, answered from the table of the simulated driver, which driver.c reads.
 *
 * `- cuda.init !802` makes cuInit return 802, and `GPU cuda.context !46` the context of one GPU 46. Without `cuda.init`,
 * cuInit returns 802 as long as a GPU waits for the NVLink fabric. A GPU that NVML has lost is not offered.
 */
#include "driver.c"

enum { NO_DEVICE = 100, INVALID_DEVICE = 101, SYSTEM_NOT_READY = 802, NOT_STARTED = 1, IN_PROGRESS = 2 };

static int offered[LINE], devices;

int cuInit(unsigned flags) {
    unsigned count = 0, state = 0;
    u64 unused;
    int result = number(THE_DRIVER, "cuda.init", &unused);
    (void)flags;
    if (result != NOT_SUPPORTED) return result;
    if (nvmlInit_v2() || nvmlDeviceGetCount_v2(&count)) return NO_DEVICE;
    devices = 0;
    for (unsigned gpu = 0; gpu < count && gpu < LINE; gpu++) {
        device_t unused_handle;
        if (!small((int)gpu, "fabric.state", &state) && (state == NOT_STARTED || state == IN_PROGRESS)) return SYSTEM_NOT_READY;
        if (!nvmlDeviceGetHandleByIndex_v2(gpu, &unused_handle)) offered[devices++] = (int)gpu;
    }
    return devices ? SUCCESS : NO_DEVICE;
}

int cuDeviceGetCount(int *count) { *count = devices; return SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal < devices ? SUCCESS : INVALID_DEVICE; }
int cuDeviceGetName(char *name, int size, int device) { return text(offered[device], "name", name, (unsigned)size); }

int cuDeviceGetUuid(unsigned char *uuid, int device) {
    char digits[LINE];
    int result = text(offered[device], "uuid", digits, sizeof digits);
    const char *next = digits + strlen("GPU-");
    for (int i = 0; !result && i < 16; i++, next += 2) {
        unsigned byte = 0;
        if (*next == '-') next++;
        sscanf(next, "%2x", &byte);
        uuid[i] = (unsigned char)byte;
    }
    return result;
}

int cuDevicePrimaryCtxRetain(void **context, int device) {
    u64 unused;
    int result = number(offered[device], "cuda.context", &unused);
    *context = NULL;
    return result == NOT_SUPPORTED ? SUCCESS : result;
}

int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return SUCCESS; }
