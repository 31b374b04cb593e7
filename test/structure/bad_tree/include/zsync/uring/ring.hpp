#include <array>
#include <liburing.h>
#include <openssl/ssl.h>
