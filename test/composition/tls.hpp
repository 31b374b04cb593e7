// SPDX-License-Identifier: BSL-1.0
#pragma once

// TLS contexts for the cases: the server's has a certificate made on the spot, which the client trusts.

#include <boost/asio/ssl/context.hpp>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <stdexcept>

namespace test
{

/// A server's context and a client's. Throws std::runtime_error where OpenSSL refuses.
struct tls_contexts
{
    boost::asio::ssl::context server{boost::asio::ssl::context::tls_server};
    boost::asio::ssl::context client{boost::asio::ssl::context::tls_client};

    tls_contexts()
    {
        const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
        const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
        if (!key || !certificate)
            throw std::runtime_error("OpenSSL made no key");
        X509_NAME* name = X509_get_subject_name(certificate.get());
        const auto* text = reinterpret_cast<const unsigned char*>("test");
        const bool made =
            X509_set_version(certificate.get(), 2) && ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1) &&
            X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60) &&
            X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600) &&
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0) &&
            X509_set_issuer_name(certificate.get(), name) && X509_set_pubkey(certificate.get(), key.get()) &&
            X509_sign(certificate.get(), key.get(), EVP_sha256());
        if (!made || SSL_CTX_use_certificate(server.native_handle(), certificate.get()) != 1 ||
            SSL_CTX_use_PrivateKey(server.native_handle(), key.get()) != 1 ||
            X509_STORE_add_cert(SSL_CTX_get_cert_store(client.native_handle()), certificate.get()) != 1)
            throw std::runtime_error("OpenSSL made no certificate");
        client.set_verify_mode(boost::asio::ssl::verify_peer);
    }
};

} // namespace test
