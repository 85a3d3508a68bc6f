/*
 * kernel-null: a plugin for strongSwan 5.9.8 that stands where the kernel's IPsec stands and keeps
 * nothing.  charon completes Quick Mode with it (ESP, AH, tunnel and transport mode) on a machine
 * that has no ESP and no TUN device.  No packet is ever protected, and no lifetime ever expires:
 * a test asks charon to rekey by name.
 *
 * It needs no strongSwan headers.  The interfaces below are those of version 5.9.8, declared as
 * far as they are used, so the plugin must not be loaded into another version.
 *
 *     gcc -shared -fPIC -O2 -o libstrongswan-kernel-null.so kernel_null.c
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

/* status_t, library.h */
enum status { SUCCESS = 0, NOT_SUPPORTED = 4 };

/* plugin_feature_t, plugins/plugin_feature.h */
enum feature_kind { FEATURE_PROVIDE = 0, FEATURE_CALLBACK = 4 };
enum feature_type { FEATURE_NONE = 0, FEATURE_CUSTOM = 30 };

struct feature {
	enum feature_kind kind;
	enum feature_type type;
	union {
		const char *custom;
		struct {
			bool (*enable)(void *plugin, void *feature, bool reg, void *data);
			void *data;
		} callback;
	} argument;
};

/* plugin_t, plugins/plugin.h */
struct plugin {
	const char *(*get_name)(struct plugin *this);
	int (*get_features)(struct plugin *this, struct feature **features);
	bool (*reload)(struct plugin *this);
	void (*destroy)(struct plugin *this);
};

/* kernel_ipsec_t, kernel/kernel_ipsec.h */
struct kernel_ipsec {
	uint32_t (*get_features)(struct kernel_ipsec *this);
	enum status (*get_spi)(struct kernel_ipsec *this, void *source, void *destination,
	                       uint8_t protocol, uint32_t *spi);
	enum status (*get_cpi)(struct kernel_ipsec *this, void *source, void *destination,
	                       uint16_t *cpi);
	enum status (*add_sa)(struct kernel_ipsec *this, void *id, void *data);
	enum status (*update_sa)(struct kernel_ipsec *this, void *id, void *data);
	enum status (*query_sa)(struct kernel_ipsec *this, void *id, void *data, uint64_t *bytes,
	                        uint64_t *packets, time_t *used);
	enum status (*del_sa)(struct kernel_ipsec *this, void *id, void *data);
	enum status (*flush_sas)(struct kernel_ipsec *this);
	enum status (*add_policy)(struct kernel_ipsec *this, void *id, void *data);
	enum status (*query_policy)(struct kernel_ipsec *this, void *id, void *data, time_t *used);
	enum status (*del_policy)(struct kernel_ipsec *this, void *id, void *data);
	enum status (*flush_policies)(struct kernel_ipsec *this);
	bool (*bypass_socket)(struct kernel_ipsec *this, int fd, int family);
	bool (*enable_udp_decap)(struct kernel_ipsec *this, int fd, int family, uint16_t port);
	void (*destroy)(struct kernel_ipsec *this);
};

/* libcharon's: hands the constructor in data to the kernel interface */
extern bool kernel_ipsec_register(void *plugin, void *feature, bool reg, void *data);

static uint32_t last_spi;

/* Two charons of one test must not give out the same SPIs. */
static void __attribute__((constructor)) seed(void)
{
	last_spi = 0xc0000000u | ((uint32_t)getpid() & 0xfffff) << 8;
}

static uint32_t get_kernel_features(struct kernel_ipsec *this UNUSED)
{
	return 0;
}

static enum status get_spi(struct kernel_ipsec *this UNUSED, void *source UNUSED,
                           void *destination UNUSED, uint8_t protocol UNUSED, uint32_t *spi)
{
	*spi = htonl(__sync_add_and_fetch(&last_spi, 1));
	return SUCCESS;
}

/* 0 to 255 are well-known, 61440 and above are private (RFC 2408 section 3.4, RFC 3173). */
static enum status get_cpi(struct kernel_ipsec *this UNUSED, void *source UNUSED,
                           void *destination UNUSED, uint16_t *cpi)
{
	*cpi = htons(4096 + (__sync_add_and_fetch(&last_spi, 1) & 0xfff));
	return SUCCESS;
}

static enum status accept_data(struct kernel_ipsec *this UNUSED, void *id UNUSED,
                               void *data UNUSED)
{
	return SUCCESS;
}

static enum status query_sa(struct kernel_ipsec *this UNUSED, void *id UNUSED, void *data UNUSED,
                            uint64_t *bytes UNUSED, uint64_t *packets UNUSED, time_t *used UNUSED)
{
	return NOT_SUPPORTED;
}

static enum status query_policy(struct kernel_ipsec *this UNUSED, void *id UNUSED,
                                void *data UNUSED, time_t *used UNUSED)
{
	return NOT_SUPPORTED;
}

static enum status flush(struct kernel_ipsec *this UNUSED)
{
	return SUCCESS;
}

static bool bypass_socket(struct kernel_ipsec *this UNUSED, int fd UNUSED, int family UNUSED)
{
	return true;
}

static bool enable_udp_decap(struct kernel_ipsec *this UNUSED, int fd UNUSED, int family UNUSED,
                             uint16_t port UNUSED)
{
	return true;
}

static void destroy_kernel(struct kernel_ipsec *this UNUSED)
{
}

static struct kernel_ipsec kernel_ipsec = {
	.get_features = get_kernel_features,
	.get_spi = get_spi,
	.get_cpi = get_cpi,
	.add_sa = accept_data,
	.update_sa = accept_data,
	.query_sa = query_sa,
	.del_sa = accept_data,
	.flush_sas = flush,
	.add_policy = accept_data,
	.query_policy = query_policy,
	.del_policy = accept_data,
	.flush_policies = flush,
	.bypass_socket = bypass_socket,
	.enable_udp_decap = enable_udp_decap,
	.destroy = destroy_kernel,
};

static struct kernel_ipsec *create(void)
{
	return &kernel_ipsec;
}

static const char *get_name(struct plugin *this UNUSED)
{
	return "kernel-null";
}

static int get_features(struct plugin *this UNUSED, struct feature **features)
{
	static struct feature provided[2];

	provided[0].kind = FEATURE_CALLBACK;
	provided[0].type = FEATURE_NONE;
	provided[0].argument.callback.enable = kernel_ipsec_register;
	provided[0].argument.callback.data = (void *)create;
	provided[1].kind = FEATURE_PROVIDE;
	provided[1].type = FEATURE_CUSTOM;
	provided[1].argument.custom = "kernel-ipsec";
	*features = provided;
	return 2;
}

static bool reload(struct plugin *this UNUSED)
{
	return false;
}

static void destroy_plugin(struct plugin *this UNUSED)
{
}

struct plugin *kernel_null_plugin_create(void)
{
	static struct plugin plugin = {
		.get_name = get_name,
		.get_features = get_features,
		.reload = reload,
		.destroy = destroy_plugin,
	};

	return &plugin;
}
