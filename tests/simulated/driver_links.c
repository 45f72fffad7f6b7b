/* What joins the GPUs of a simulated machine, included by driver.c: NVLink, peer access, the bus and the processors.
 *
 * `GPU nvlink.count N` are the links of a GPU, which has no NVLink without it. `GPU nvlink.FIELD` holds of each of its
 * links, and `GPU nvlink.LINK.FIELD` of one. An error counter grows by its `.per_s` for each second of load, ever.
 * `GPU peer.CAPABILITY` holds towards each other GPU, and `GPU peer.OTHER.CAPABILITY` towards one.
 */
#include <ctype.h>

enum { LINKS_AT_MOST = 36, NVLINK_5 = 7, DOUBLE = 0 };

static int link_text(int gpu, unsigned link, const char *field, char *value) {
    char name[LINE];
    int result;
    snprintf(name, sizeof name, "nvlink.%u.%s", link, field);
    result = look(gpu, name, value);
    if (result != NOT_SUPPORTED) return result;
    snprintf(name, sizeof name, "nvlink.%s", field);
    return look(gpu, name, value);
}

/* A field of one link: Not Supported on a GPU without NVLink, Invalid Argument past its last link. */
static int link_number(int gpu, unsigned link, const char *field, u64 *out) {
    char value[LINE];
    u64 count = 0;
    int result = number(gpu, "nvlink.count", &count);
    if (result) return result;
    if (!count) return NOT_SUPPORTED;
    if (link >= count) return INVALID_ARGUMENT;
    result = link_text(gpu, link, field, value);
    if (!result) *out = strtoull(value, NULL, 0);
    return result;
}

static int is_up(int gpu, unsigned link) { u64 state = 0; return !link_number(gpu, link, "state", &state) && state; }

static int link_small(device_t d, unsigned link, const char *field, unsigned *out) {
    u64 value = 0;
    int result = link_number(gpu_of(d), link, field, &value);
    if (!result) *out = (unsigned)value;
    return result;
}

/* A counter of a link and what it has grown by, which is never less than before. */
static int link_counter(int gpu, unsigned link, const char *name, u64 *out) {
    char field[LINE];
    u64 per_s = 0;
    unsigned pid;
    int result;
    snprintf(field, sizeof field, "error.%s", name);
    result = link_number(gpu, link, field, out);
    if (result) return result;
    strcat(field, ".per_s");
    if (!link_number(gpu, link, field, &per_s)) *out += (u64)(work(gpu, &pid, EVER) * (double)per_s);
    return SUCCESS;
}

static int is_nvlink_5(int gpu, unsigned link) {
    u64 version = 0;
    return !link_number(gpu, link, "version", &version) && version >= NVLINK_5;
}

/* An NVLink 5 has no counters of this kind. */
int nvmlDeviceGetNvLinkErrorCounter(device_t d, unsigned link, unsigned counter, u64 *out) {
    static const char *names[] = {"replay", "recovery", "crc_flit", "crc_data", "ecc_data"};
    u64 unused;
    int result = link_number(gpu_of(d), link, "state", &unused);
    if (result) return result;
    if (counter > 4) return INVALID_ARGUMENT;
    return is_nvlink_5(gpu_of(d), link) ? NOT_SUPPORTED : link_counter(gpu_of(d), link, names[counter], out);
}

int nvmlDeviceGetNvLinkState(device_t d, unsigned link, unsigned *out) {
    int result = link_small(d, link, "state", out);
    if (!result) *out = *out != 0;
    return result;
}

int nvmlDeviceGetNvLinkVersion(device_t d, unsigned link, unsigned *out) { return link_small(d, link, "version", out); }

int nvmlDeviceGetNvLinkCapability(device_t d, unsigned link, unsigned capability, unsigned *out) {
    u64 unused;
    int result = link_number(gpu_of(d), link, "state", &unused);
    if (result) return result;
    *out = capability == 0 || capability == 2 || capability == 5;  /* P2P, P2P atomics, valid */
    return capability > 5 ? INVALID_ARGUMENT : SUCCESS;
}

int nvmlDeviceGetNvLinkRemoteDeviceType(device_t d, unsigned link, unsigned *out) {
    return is_up(gpu_of(d), link) ? link_small(d, link, "remote", out) : link_small(d, link, "remote.down", out);
}

/* A place on the PCI bus. That of a GPU is of its index, as host.py plays it. */
typedef struct { char old_id[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_t;

static int pci_of(int gpu, const char *field, pci_t *out) {
    char value[LINE];
    int result = look(gpu, field, value);
    if (result) return result;
    memset(out, 0, sizeof *out);
    sscanf(value, "%x:%x:%x", &out->domain, &out->bus, &out->device);
    snprintf(out->bus_id, sizeof out->bus_id, "%08X:%02X:%02X.0", out->domain, out->bus, out->device);
    snprintf(out->old_id, sizeof out->old_id, "%04X:%02X:%02X.0", out->domain & 0xffff, out->bus & 0xff, out->device & 0xff);
    return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(device_t d, pci_t *out) { return pci_of(gpu_of(d), "pci", out); }

int nvmlDeviceGetNvLinkRemotePciInfo_v2(device_t d, unsigned link, pci_t *out) {
    char field[LINE];
    u64 unused;
    int result = link_number(gpu_of(d), link, "state", &unused);
    if (result) return result;
    if (!is_up(gpu_of(d), link)) return NOT_SUPPORTED;
    snprintf(field, sizeof field, "nvlink.%u.pci", link);
    result = pci_of(gpu_of(d), field, out);
    return result == NOT_SUPPORTED ? pci_of(gpu_of(d), "nvlink.pci", out) : result;
}

/* Fields that are asked of one link, by scope. */
static const struct { unsigned field; const char *counter; int of_nvlink_5; } COUNTERS[] = {
    {161, "replay", 0}, {162, "recovery", 0}, {163, "crc", 0},
    {206, "malformed_packet", 1}, {207, "buffer_overrun", 1}, {208, "receive", 1}, {209, "receive_remote", 1},
    {210, "receive_general", 1}, {211, "local_link_integrity", 1}, {212, "xmit_discards", 1},
    {213, "recovery_successful", 1}, {214, "recovery_failed", 1}, {215, "recovery", 1}, {219, "effective", 1},
    {220, "effective_ber", 1}, {221, "symbol", 1}, {222, "symbol_ber", 1},
};

/* Fields that name the link themselves, the later links by other numbers; a total, and of which counter. */
static const struct { unsigned first, later, total; const char *counter; } OLD[] = {
    {32, 96, 38, "crc_flit"}, {39, 102, 45, "crc_data"}, {46, 108, 52, "replay"}, {53, 114, 59, "recovery"},
    {148, 154, 160, "ecc_data"}, {84, 132, 90, NULL},
};

static int old_field(int gpu, unsigned index, unsigned field, u64 *out) {
    u64 count = 0, one = 0;
    unsigned first = OLD[index].first, later = OLD[index].later;
    const char *counter = OLD[index].counter;
    int result = number(gpu, "nvlink.count", &count);
    if (result) return result;
    *out = 0;
    for (unsigned link = 0; link < count; link++) {
        unsigned own = link < 6 ? first + link : link < 12 ? later + link - 6 : 0;
        if (field != OLD[index].total && field != own) continue;
        result = counter ? is_nvlink_5(gpu, link) ? NOT_SUPPORTED : link_counter(gpu, link, counter, &one)
                         : link_number(gpu, link, "speed", &one);
        if (result) return result;
        if (!counter && !is_up(gpu, link)) one = 0;
        *out = counter ? *out + one : *out > one ? *out : one;  /* the common speed is that of the links that are up */
    }
    return SUCCESS;
}

static int new_field(int gpu, unsigned link, unsigned field, u64 *out) {
    const char *counter = NULL;
    int of_nvlink_5 = 0, result;
    u64 known = 1;
    for (unsigned i = 0; i < sizeof COUNTERS / sizeof *COUNTERS; i++)
        if (COUNTERS[i].field == field) counter = COUNTERS[i].counter, of_nvlink_5 = COUNTERS[i].of_nvlink_5;
    if (!counter && (field < 164 || field > 166)) return -1;
    if (!number(gpu, "nvlink.fields", &known) && !known) return NOT_SUPPORTED;  /* as of GPUs before Hopper */
    result = link_number(gpu, link, field == 164 ? "speed" : field == 166 ? "version" : "state", out);
    if (result) return result;
    if (field == 164 && !is_up(gpu, link)) *out = 0;
    if (!counter) return SUCCESS;
    return is_nvlink_5(gpu, link) == of_nvlink_5 ? link_counter(gpu, link, counter, out) : NOT_SUPPORTED;
}

/* Answers a field that is about NVLink; 0 where it is not. */
static int link_field(int gpu, field_t *asked) {
    unsigned field = asked->field;
    if (field == 91) {
        asked->type = UNSIGNED_INT;
        asked->result = number(gpu, "nvlink.count", &asked->value);
        return 1;
    }
    for (unsigned i = 0; i < sizeof OLD / sizeof *OLD; i++)
        if ((field >= OLD[i].first && field < OLD[i].first + 6) || (field >= OLD[i].later && field < OLD[i].later + 6)
            || field == OLD[i].total) {
            asked->type = OLD[i].counter ? UNSIGNED_LONG_LONG : UNSIGNED_INT;
            asked->result = old_field(gpu, i, field, &asked->value);
            return 1;
        }
    int result = new_field(gpu, asked->scope, field, &asked->value);
    if (result < 0) return 0;
    if (field < 200) asked->type = field > 163 ? UNSIGNED_INT : UNSIGNED_LONG_LONG;
    asked->result = result;
    return 1;
}

/* Whether one GPU may reach another, by capability: NVML_P2P_CAPS_INDEX_*. */
int nvmlDeviceGetP2PStatus(device_t one, device_t other, unsigned capability, unsigned *out) {
    static const char *names[] = {"read", "write", "nvlink", "atomics", "pci"};
    char field[LINE];
    int result;
    if (one == other || capability > 4) return INVALID_ARGUMENT;
    snprintf(field, sizeof field, "peer.%d.%s", gpu_of(other), names[capability]);
    result = small(gpu_of(one), field, out);
    if (result != NOT_SUPPORTED) return result;
    snprintf(field, sizeof field, "peer.%s", names[capability]);
    return small(gpu_of(one), field, out);
}

/* The processors beside a GPU: the node and its cores, as a list of first-last in the table. */
int nvmlDeviceGetNumaNodeId(device_t d, unsigned *out) { return small(gpu_of(d), "numa.own", out); }

int nvmlDeviceGetMemoryAffinity(device_t d, unsigned words, unsigned long *out, unsigned scope) {
    unsigned node = 0;
    int result = small(gpu_of(d), "numa", &node);
    (void)scope;
    if (result) return result;
    memset(out, 0, words * sizeof *out);
    if (node / 64 < words) out[node / 64] |= 1ul << node % 64;
    return SUCCESS;
}

int nvmlDeviceGetCpuAffinity(device_t d, unsigned words, unsigned long *out) {
    char value[LINE], *rest = value;
    int result = look(gpu_of(d), "processors", value);
    if (result) return result;
    memset(out, 0, words * sizeof *out);
    while (isdigit((unsigned char)*rest)) {
        unsigned first = (unsigned)strtoul(rest, &rest, 10), last = *rest == '-' ? (unsigned)strtoul(rest + 1, &rest, 10) : first;
        for (unsigned core = first; core <= last && core / 64 < words; core++) out[core / 64] |= 1ul << core % 64;
        if (*rest) rest++;
    }
    return SUCCESS;
}

int nvmlDeviceGetCpuAffinityWithinScope(device_t d, unsigned words, unsigned long *out, unsigned scope) {
    (void)scope;
    return nvmlDeviceGetCpuAffinity(d, words, out);
}

/* NVML_TOPOLOGY_*: 40 within one node and 50 across. */
int nvmlDeviceGetTopologyCommonAncestor(device_t one, device_t other, unsigned *out) {
    unsigned here = 0, there = 0;
    int result = small(gpu_of(one), "numa", &here);
    if (!result) result = small(gpu_of(other), "numa", &there);
    if (!result) *out = one == other ? 0 : here == there ? 40 : 50;
    return result;
}
