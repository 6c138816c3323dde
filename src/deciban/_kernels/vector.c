typedef int tier_placeholder;
