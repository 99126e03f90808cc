// SPDX-License-Identifier: MIT OR Apache-2.0
//
// A module that leaks slab caches, each way that there is, for the tests in VMs. It does so when its parameters are written:
//
//     echo 5 > /sys/module/leaky/parameters/grow     makes 5 caches and keeps them
//     echo 1 > /sys/module/leaky/parameters/lose     makes a cache and destroys it with an object left in it
//     echo 9 > /sys/module/leaky/parameters/churn    makes and destroys a cache 9 times
//     echo 1 > /sys/module/leaky/parameters/behalf   has the kernel make a cache on its behalf, bio-SIZE, and keeps it
//     echo 1 > /sys/module/leaky/parameters/orphan   its exit function will not destroy what grow and behalf made
//
// Its caches have a constructor: such are never merged.

#include <linux/bio.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>

#define LEAKY_MAX 256
#define LEAKY_SIZE 200
/* No biosets of others ask for as much: one that did would share its cache. */
#define LEAKY_FRONT_PAD 1000

static struct kmem_cache *grown[LEAKY_MAX];
static unsigned int grown_count;
static unsigned int lost_count;
static struct bio_set bioset;
static bool orphan;
module_param(orphan, bool, 0600);

static void leaky_ctor(void *object)
{
}

static noinline int leaky_grow(const char *value, const struct kernel_param *param)
{
	unsigned int count;
	char name[32];
	int error = kstrtouint(value, 0, &count);

	if (error)
		return error;
	for (; count && grown_count < LEAKY_MAX; count--) {
		snprintf(name, sizeof(name), "leaky_grown_%u", grown_count);
		grown[grown_count] = kmem_cache_create(name, LEAKY_SIZE, 0, 0, leaky_ctor);
		if (!grown[grown_count])
			return -ENOMEM;
		grown_count++;
	}
	return 0;
}

static noinline int leaky_lose(const char *value, const struct kernel_param *param)
{
	char name[32];
	struct kmem_cache *cache;

	snprintf(name, sizeof(name), "leaky_lost_%u", lost_count++);
	cache = kmem_cache_create(name, LEAKY_SIZE, 0, 0, leaky_ctor);
	if (!cache || !kmem_cache_alloc(cache, GFP_KERNEL))
		return -ENOMEM;
	kmem_cache_destroy(cache);
	return 0;
}

static noinline int leaky_churn(const char *value, const struct kernel_param *param)
{
	unsigned int count;
	struct kmem_cache *cache;
	int error = kstrtouint(value, 0, &count);

	for (; !error && count; count--) {
		cache = kmem_cache_create("leaky_churned", LEAKY_SIZE, 0, 0, leaky_ctor);
		if (!cache)
			return -ENOMEM;
		kmem_cache_destroy(cache);
	}
	return error;
}

static noinline int leaky_behalf(const char *value, const struct kernel_param *param)
{
	int error;

	if (bioset_initialized(&bioset))
		return -EBUSY;
	error = bioset_init(&bioset, 1, LEAKY_FRONT_PAD, 0);
	/* Not as a tail call, which would leave this function out of the stack. */
	barrier();
	return error;
}

static const struct kernel_param_ops grow_ops = { .set = leaky_grow };
static const struct kernel_param_ops lose_ops = { .set = leaky_lose };
static const struct kernel_param_ops churn_ops = { .set = leaky_churn };
static const struct kernel_param_ops behalf_ops = { .set = leaky_behalf };
module_param_cb(grow, &grow_ops, NULL, 0200);
module_param_cb(lose, &lose_ops, NULL, 0200);
module_param_cb(churn, &churn_ops, NULL, 0200);
module_param_cb(behalf, &behalf_ops, NULL, 0200);

static int __init leaky_init(void)
{
	return 0;
}

static void __exit leaky_exit(void)
{
	if (orphan)
		return;
	while (grown_count)
		kmem_cache_destroy(grown[--grown_count]);
	if (bioset_initialized(&bioset))
		bioset_exit(&bioset);
}

module_init(leaky_init);
module_exit(leaky_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Leaks slab caches on purpose");
