/* A simulated NVIDIA driver: NVML's functions, answered from a table in the file that SIMULATED_DRIVER names.
 *
 * Each line of the table is `GPU FIELD VALUE`, with `-` for a field of the driver, `GPU*` for a field of a GPU under load
 * and `GPU+` for one of a GPU while all GPUs are under load. A VALUE is text, a number, or an action: `!3` returns that NVML error, `!hangs` never returns, `!crashes` crashes
 * the process. A list of numbers is played over ten seconds of load. A field that is not in the table is not supported.
 * machine.py writes the table.
 *
 * A GPU is under load while its file, which SIMULATED_WORK names with `.GPU` after it, is at most FRESH_S old, or one
 * with `.held` after that is there and the workload lives, which may have to wait for a core. The file
 * holds the process id of the workload and the seconds of load so far: in simulated time, which may run faster, in real
 * time, and in real time of every process that has worked on this GPU.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };

#define LINE 512
#define THE_DRIVER (-1)

typedef unsigned long long u64;
typedef struct { char unused; } *device_t;

static device_t handle(int gpu) { return (device_t)(size_t)(gpu + 1); }
static int gpu_of(device_t device) { return (int)(size_t)device - 1; }

static double age_of(const char *path) {
    struct stat about;
    struct timespec now;
    if (stat(path, &about)) return 1e9;
    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - about.st_mtim.tv_sec) + (now.tv_nsec - about.st_mtim.tv_nsec) / 1e9;
}

/* Seconds of load of a GPU so far and the process id of the workload, which is 0 when the GPU is not under load. */
#define FRESH_S 2.0
enum { SIMULATED_TIME, REAL_TIME, EVER };
static double work(int gpu, unsigned *pid, int clock) {
    const char *base = getenv("SIMULATED_WORK");
    char path[LINE], held[LINE];
    double seconds[3] = {0, 0, 0};
    FILE *file;
    int works;
    *pid = 0;
    if (!base) return 0;
    snprintf(path, sizeof path, "%s.%d", base, gpu);
    snprintf(held, sizeof held, "%s.%d.held", base, gpu);
    if (!(file = fopen(path, "r"))) return 0;
    if (fscanf(file, "%u %lf %lf %lf", pid, seconds, seconds + 1, seconds + 2) != 4) *pid = 0;
    fclose(file);
    works = *pid && (age_of(path) <= FRESH_S || (!access(held, F_OK) && !kill((pid_t)*pid, 0)));
    if (!works) *pid = 0;
    return works || clock == EVER ? seconds[clock] : 0;
}

/* Replaces a list of numbers by the one for this moment of the load. */
#define COURSE_S 10.0
static void choose_by_time(char *value, double seconds) {
    char *starts[LINE / 2];
    int count = 0;
    for (char *part = strtok(value, ","); part; part = strtok(NULL, ",")) starts[count++] = part;
    int index = (int)(seconds / COURSE_S * count);
    memmove(value, starts[index < count ? index : count - 1], strlen(starts[index < count ? index : count - 1]) + 1);
}

/* Whether the ranks of one piece of work load all GPUs at this moment, as a file of each says. Loads of several
 * requirements side by side are none: whether they overlap is chance. */
static int all_work(int count) {
    const char *base = getenv("SIMULATED_WORK");
    char path[LINE];
    for (int gpu = 0; base && gpu < count; gpu++) {
        snprintf(path, sizeof path, "%s.%d.together", base, gpu);
        if (access(path, F_OK)) return 0;
    }
    return base && count > 0;
}

/* The table, by what begins each of its lines: `GPU FIELD`. */
#define SLOTS 16384
#define SETTLED_S 0.05
static _Thread_local struct {
    struct stat file;
    int settled;
    char *lines;
    struct { const char *key, *value; } slots[SLOTS];
} table;

static unsigned slot_of(const char *key) {
    unsigned hash = 2166136261u;
    for (const char *letter = key; *letter; letter++) hash = (hash ^ (unsigned char)*letter) * 16777619u;
    hash %= SLOTS;
    while (table.slots[hash].key && strcmp(table.slots[hash].key, key)) hash = (hash + 1) % SLOTS;
    return hash;
}

/* Of two lines about the same the first holds. */
static void take(char *line) {
    char *end = strchr(line, ' ');
    unsigned slot;
    if (!end || !(end = strchr(end + 1, ' '))) return;
    *end = 0;
    slot = slot_of(line);
    if (table.slots[slot].key) return;
    table.slots[slot].key = line;
    table.slots[slot].value = end + 1;
}

static int read_table(const char *path, size_t size) {
    FILE *file = fopen(path, "r");
    char *rest;
    if (!file) return 0;
    free(table.lines);
    memset(table.slots, 0, sizeof table.slots);
    table.lines = malloc(size + 1);
    table.lines[fread(table.lines, 1, size, file)] = 0;
    fclose(file);
    for (char *line = strtok_r(table.lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) take(line);
    return 1;
}

/* The table is read again where its file is another one, so that a test can change the machine while it runs. A file
 * that is younger than SETTLED_S may change once more within a tick of the file system's clock. */
static int table_is_there(void) {
    const char *path = getenv("SIMULATED_DRIVER");
    struct stat now;
    if (!path || stat(path, &now)) return 0;
    if (table.settled && now.st_ino == table.file.st_ino && now.st_dev == table.file.st_dev
        && now.st_size == table.file.st_size && now.st_mtim.tv_sec == table.file.st_mtim.tv_sec
        && now.st_mtim.tv_nsec == table.file.st_mtim.tv_nsec) return 1;
    table.settled = age_of(path) > SETTLED_S;
    table.file = now;
    return read_table(path, (size_t)now.st_size);
}

/* What the table says of a GPU, with a mark for the moment, or NULL. */
static const char *said(int gpu, const char *mark, const char *field) {
    char key[LINE];
    if (gpu == THE_DRIVER) snprintf(key, sizeof key, "- %s", field);
    else snprintf(key, sizeof key, "%d%s %s", gpu, mark, field);
    return table.slots[slot_of(key)].value;
}

static int look(int gpu, const char *field, char *value) {
    const char *resting, *working, *together, *count, *found;
    unsigned pid = 0;
    double seconds = 0;
    if (!table_is_there()) return UNKNOWN;
    found = resting = said(gpu, "", field);
    working = said(gpu, "*", field);
    together = said(gpu, "+", field);
    if (gpu != THE_DRIVER && (working || together || (resting && strchr(resting, ',')))) {
        seconds = work(gpu, &pid, SIMULATED_TIME);
        count = said(THE_DRIVER, "", "count");
        if (pid && working) found = working;
        if (pid && together && all_work(count ? atoi(count) : 0)) found = together;
    }
    if (!found) return NOT_SUPPORTED;
    snprintf(value, LINE, "%s", found);
    if (strchr(value, ',') && !strstr(field, "processes")) choose_by_time(value, seconds);
    if (value[0] != '!') return SUCCESS;
    if (!strcmp(value, "!hangs")) for (;;) pause();
    if (!strcmp(value, "!crashes")) raise(SIGSEGV);
    return atoi(value + 1);
}

static int text(int gpu, const char *field, char *out, unsigned size) {
    char value[LINE];
    int result = look(gpu, field, value);
    if (result) return result;
    if (strlen(value) + 1 > size) return INSUFFICIENT_SIZE;
    strcpy(out, value);
    return SUCCESS;
}

static int number(int gpu, const char *field, u64 *out) {
    char value[LINE];
    int result = look(gpu, field, value);
    if (!result) *out = strtoull(value, NULL, 0);
    return result;
}

static int small(int gpu, const char *field, unsigned *out) {
    u64 value = 0;
    int result = number(gpu, field, &value);
    if (!result) *out = (unsigned)value;
    return result;
}

/* NVML functions with one result. */
#define SYSTEM_TEXT(NAME, FIELD) int NAME(char *out, unsigned size) { return text(THE_DRIVER, FIELD, out, size); }
#define TEXT(NAME, FIELD) int NAME(device_t d, char *out, unsigned size) { return text(gpu_of(d), FIELD, out, size); }
#define SMALL(NAME, FIELD) int NAME(device_t d, unsigned *out) { return small(gpu_of(d), FIELD, out); }
#define NUMBER(NAME, FIELD) int NAME(device_t d, u64 *out) { return number(gpu_of(d), FIELD, out); }
#define TWO(NAME, FIRST, SECOND) \
    int NAME(device_t d, unsigned *first, unsigned *second) { \
        int result = small(gpu_of(d), FIRST, first); \
        return result ? result : small(gpu_of(d), SECOND, second); \
    }

int nvmlInit_v2(void) { u64 unused; int result = number(THE_DRIVER, "init", &unused); return result == NOT_SUPPORTED ? SUCCESS : result; }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *out) { return small(THE_DRIVER, "count", out); }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { return small(THE_DRIVER, "cuda", (unsigned *)out); }
SYSTEM_TEXT(nvmlSystemGetDriverVersion, "driver")
SYSTEM_TEXT(nvmlSystemGetNVMLVersion, "driver")

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *out) {
    unsigned count = 0;
    u64 unused;
    int result = nvmlDeviceGetCount_v2(&count);
    if (result) return result;
    if (index >= count) return INVALID_ARGUMENT;
    result = number((int)index, "handle", &unused);
    if (result && result != NOT_SUPPORTED) return result;
    *out = handle((int)index);
    return SUCCESS;
}

int nvmlDeviceGetIndex(device_t d, unsigned *out) { *out = (unsigned)gpu_of(d); return SUCCESS; }

int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *out) {
    unsigned count = 0;
    char own[LINE];
    int result = nvmlDeviceGetCount_v2(&count);
    for (unsigned gpu = 0; !result && gpu < count; gpu++)
        if (!text((int)gpu, "uuid", own, sizeof own) && !strcmp(own, uuid)) return nvmlDeviceGetHandleByIndex_v2(gpu, out);
    return result ? result : NOT_FOUND;
}

TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")
TEXT(nvmlDeviceGetSerial, "serial")
TEXT(nvmlDeviceGetVbiosVersion, "vbios")
TWO(nvmlDeviceGetCudaComputeCapability, "capability.major", "capability.minor")
TWO(nvmlDeviceGetEccMode, "ecc.current", "ecc.pending")
TWO(nvmlDeviceGetMigMode, "mig.current", "mig.pending")
SMALL(nvmlDeviceGetPowerUsage, "power.draw")
SMALL(nvmlDeviceGetEnforcedPowerLimit, "power.enforced")
SMALL(nvmlDeviceGetPowerManagementLimit, "power.limit")
SMALL(nvmlDeviceGetGpuMaxPcieLinkGeneration, "pcie.gen.gpu.max")
SMALL(nvmlDeviceGetPowerManagementDefaultLimit, "power.default")
SMALL(nvmlDeviceGetPerformanceState, "pstate")
SMALL(nvmlDeviceGetComputeMode, "compute_mode")
SMALL(nvmlDeviceGetPersistenceMode, "persistence")
SMALL(nvmlDeviceGetMaxPcieLinkGeneration, "pcie.gen.max")
SMALL(nvmlDeviceGetCurrPcieLinkGeneration, "pcie.gen")
SMALL(nvmlDeviceGetMaxPcieLinkWidth, "pcie.width.max")
SMALL(nvmlDeviceGetCurrPcieLinkWidth, "pcie.width")
TWO(nvmlDeviceGetPowerManagementLimitConstraints, "power.min", "power.max")
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, "event_reasons")
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, "event_reasons")

int nvmlDeviceGetMemoryInfo(device_t d, u64 *total_free_used) {
    static const char *fields[] = {"memory.total", "memory.free", "memory.used"};
    for (int i = 0, result; i < 3; i++)
        if ((result = number(gpu_of(d), fields[i], total_free_used + i))) return result;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(device_t d, int sensor, unsigned *out) {
    return sensor ? INVALID_ARGUMENT : small(gpu_of(d), "temperature", out);
}

int nvmlDeviceGetUtilizationRates(device_t d, unsigned *gpu_memory) {
    int result = small(gpu_of(d), "utilization.gpu", gpu_memory);
    return result ? result : small(gpu_of(d), "utilization.memory", gpu_memory + 1);
}

static int clock_of(device_t d, int kind, const char *prefix, unsigned *out) {
    static const char *kinds[] = {"graphics", "sm", "memory", "video"};
    char field[LINE];
    if (kind < 0 || kind > 3) return INVALID_ARGUMENT;
    snprintf(field, sizeof field, "%s.%s", prefix, kinds[kind]);
    return small(gpu_of(d), field, out);
}

int nvmlDeviceGetClockInfo(device_t d, int kind, unsigned *out) { return clock_of(d, kind, "clock", out); }
int nvmlDeviceGetMaxClockInfo(device_t d, int kind, unsigned *out) { return clock_of(d, kind, "clock.max", out); }
int nvmlDeviceGetMaxCustomerBoostClock(device_t d, int kind, unsigned *out) {
    return clock_of(d, kind, "clock.boost", out);
}

int nvmlDeviceGetRemappedRows(device_t d, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    int result = small(gpu_of(d), "remapped.correctable", corrected);
    if (!result) result = small(gpu_of(d), "remapped.uncorrectable", uncorrected);
    if (!result) result = small(gpu_of(d), "remapped.pending", pending);
    return result ? result : small(gpu_of(d), "remapped.failure", failed);
}

int nvmlDeviceGetTotalEccErrors(device_t d, int uncorrected, int aggregate, u64 *out) {
    char field[LINE];
    snprintf(field, sizeof field, "ecc.%s.%s", uncorrected ? "uncorrectable" : "correctable", aggregate ? "aggregate" : "volatile");
    int result = number(gpu_of(d), field, out);
    u64 per_s = 0;
    struct timespec now;
    strcat(field, ".per_s");
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!result && !number(gpu_of(d), field, &per_s)) *out += (u64)((double)per_s * ((double)now.tv_sec + (double)now.tv_nsec / 1e9));
    return result;
}

typedef struct { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; } process_t;

static int processes(device_t d, const char *field, int ours, unsigned *count, process_t *out) {
    char value[LINE], *rest;
    unsigned found = 0, pid;
    int result = look(gpu_of(d), field, value);
    if (result) return result;
    for (char *word = strtok_r(value, ",", &rest); word; word = strtok_r(NULL, ",", &rest), found++)
        if (out && found < *count) out[found] = (process_t){(unsigned)atoi(word), 0, ~0u, ~0u};
    work(gpu_of(d), &pid, SIMULATED_TIME);
    if (ours && pid) {
        if (out && found < *count) out[found] = (process_t){pid, 0, ~0u, ~0u};
        found++;
    }
    result = found > *count ? INSUFFICIENT_SIZE : SUCCESS;
    *count = found;
    return result;
}

int nvmlDeviceGetComputeRunningProcesses_v3(device_t d, unsigned *count, process_t *out) {
    return processes(d, "processes.compute", 1, count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(device_t d, unsigned *count, process_t *out) {
    return processes(d, "processes.graphics", 0, count, out);
}

/* The table has `pid:percent` pairs; the workload itself works nearly all the time. */
typedef struct { unsigned pid; u64 time; unsigned sm, memory, encoder, decoder; } process_sample_t;

int nvmlDeviceGetProcessUtilization(device_t d, process_sample_t *out, unsigned *count, u64 since) {
    char value[LINE], *rest;
    unsigned found = 0, pid;
    int result = look(gpu_of(d), "processes.utilization", value);
    (void)since;
    if (result) return result;
    for (char *word = strtok_r(value, ",", &rest); word; word = strtok_r(NULL, ",", &rest), found++)
        if (out && found < *count) out[found] = (process_sample_t){(unsigned)atoi(word), 1, (unsigned)atoi(strchr(word, ':') + 1), 0, 0, 0};
    work(gpu_of(d), &pid, SIMULATED_TIME);
    if (pid) {
        if (out && found < *count) out[found] = (process_sample_t){pid, 1, 93, 0, 0, 0};
        found++;
    }
    result = found == 0 ? NOT_FOUND : found > *count ? INSUFFICIENT_SIZE : SUCCESS;
    *count = found;
    return result;
}

/* Counters of clock events in nanoseconds. The table has them in microseconds, with their growth per second of load. */
typedef struct {
    unsigned field, scope;
    long long timestamp, latency_us;
    int type, result;
    u64 value;
} field_t;
enum { UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3 };

static const char *counter_name(unsigned field) {
    switch (field) {
        case 74: return "counter.power_cap";
        case 76: return "counter.sync_boost";
        case 269: return "counter.thermal_software";
        case 270: return "counter.thermal_hardware";
        case 271: return "counter.power_brake";
        default: return NULL;
    }
}

static const char *field_name(unsigned field) {
    switch (field) {
        case 226: return "recovery.reset";
        case 227: return "recovery.drain_and_reset";
        case 230: return "recovery.action";
        default: return NULL;
    }
}

#include "driver_links.c"

int nvmlDeviceGetFieldValues(device_t d, int count, field_t *fields) {
    for (int i = 0; i < count; i++) {
        const char *name = counter_name(fields[i].field);
        char growth[LINE];
        unsigned pid;
        u64 base = 0, per_s = 0;
        fields[i].type = UNSIGNED_LONG_LONG;
        if (link_field(gpu_of(d), fields + i)) continue;
        if (field_name(fields[i].field)) {
            fields[i].type = UNSIGNED_INT;
            fields[i].result = number(gpu_of(d), field_name(fields[i].field), &fields[i].value);
            continue;
        }
        fields[i].result = name ? number(gpu_of(d), name, &base) : NOT_SUPPORTED;
        if (fields[i].result) continue;
        snprintf(growth, sizeof growth, "%s.per_s", name);
        if (number(gpu_of(d), growth, &per_s)) per_s = 0;
        fields[i].value = (base + (u64)(work(gpu_of(d), &pid, REAL_TIME) * (double)per_s)) * 1000;
    }
    return SUCCESS;
}

/* The NVLink fabric. `fabric.interface` is the newest version of the question that this driver knows, 1 to 3. */
typedef struct { unsigned char cluster[16]; int status; unsigned clique; unsigned char state; } fabric_t;
typedef struct { unsigned version; fabric_t fabric; unsigned health_mask; unsigned char health_summary; } versioned_fabric_t;
enum { FUNCTION_NOT_FOUND = 13, ARGUMENT_VERSION_MISMATCH = 25 };

static int fabric(device_t d, fabric_t *out) {
    unsigned state = 0, status = 0;
    int result = small(gpu_of(d), "fabric.state", &state);
    if (!result) small(gpu_of(d), "fabric.status", &status);
    out->state = (unsigned char)state;
    out->status = (int)status;
    return result;
}

int nvmlDeviceGetGpuFabricInfo(device_t d, fabric_t *out) { return fabric(d, out); }

int nvmlDeviceGetGpuFabricInfoV(device_t d, versioned_fabric_t *out) {
    unsigned newest = 3, asked = out->version >> 24, summary = 0;
    int result;
    small(gpu_of(d), "fabric.interface", &newest);
    if (newest < 2) return FUNCTION_NOT_FOUND;
    if (asked > newest) return ARGUMENT_VERSION_MISMATCH;
    result = fabric(d, &out->fabric);
    if (result) return result;
    if (small(gpu_of(d), "fabric.health.mask", &out->health_mask)) out->health_mask = 0;
    if (asked < 3) return SUCCESS;
    if (small(gpu_of(d), "fabric.health.summary", &summary)) summary = 0;
    out->health_summary = (unsigned char)summary;
    return SUCCESS;
}

int nvmlDeviceValidateInforom(device_t d) { u64 unused; return number(gpu_of(d), "inforom", &unused); }

const char *nvmlErrorString(int result) {
    switch (result) {
        case 2: return "Invalid Argument";
        case 3: return "Not Supported";
        case 4: return "Insufficient Permissions";
        case 6: return "Not Found";
        case 8: return "Insufficient External Power";
        case 9: return "Driver Not Loaded";
        case 10: return "Timeout";
        case 11: return "Interrupt Request Issue";
        case 13: return "Function Not Found";
        case 14: return "Corrupted infoROM";
        case 15: return "GPU is lost";
        case 16: return "GPU requires reset";
        case 17: return "The operating system has blocked the request.";
        case 18: return "Driver/library version mismatch";
        case 19: return "In use by another client";
        default: return "Unknown Error";
    }
}
