// SPDX-License-Identifier: BSL-1.0
#include <zsync/net/endpoint.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <sstream>
#include <string>

#include <sys/socket.h>

namespace asio = boost::asio;
using zsync::endpoint;

BOOST_AUTO_TEST_SUITE(net_endpoint)

BOOST_AUTO_TEST_CASE(is_made_of_an_address_and_a_port)
{
    const endpoint four("127.0.0.1", 8080);
    BOOST_TEST(four.family() == AF_INET);
    BOOST_TEST(four.port() == 8080);
    BOOST_TEST(four.address() == "127.0.0.1");
    BOOST_TEST(four.to_string() == "127.0.0.1:8080");
    const endpoint six("::1", 1);
    BOOST_TEST(six.family() == AF_INET6);
    std::ostringstream text;
    text << six;
    BOOST_TEST(text.str() == "[::1]:1");
}

BOOST_AUTO_TEST_CASE(looks_no_name_up)
{
    for (const char* text : {"localhost", "", "1.2.3", "1.2.3.4:5"})
        BOOST_CHECK_EXCEPTION(endpoint(text, 1), boost::system::system_error,
                              [](const auto& e) { return e.code() == asio::error::invalid_argument; });
}

BOOST_AUTO_TEST_CASE(goes_to_and_from_asio)
{
    const asio::ip::tcp::endpoint tcp(asio::ip::make_address("::2"), 80);
    BOOST_TEST((endpoint(tcp).to_asio<asio::ip::tcp::endpoint>() == tcp));
    const asio::ip::udp::endpoint udp(asio::ip::make_address("10.0.0.1"), 53);
    BOOST_TEST((endpoint(udp).to_asio<asio::ip::udp::endpoint>() == udp));
    const asio::local::stream_protocol::endpoint local("/run/some.socket");
    BOOST_TEST((endpoint(local).to_asio<asio::local::stream_protocol::endpoint>() == local));
    BOOST_TEST(endpoint(local) == endpoint::local("/run/some.socket"));
    const asio::generic::stream_protocol::endpoint generic(tcp);
    BOOST_TEST(endpoint(generic) == endpoint(tcp));
    BOOST_CHECK_THROW(endpoint::local(std::string(60, 'x')).to_asio<asio::ip::tcp::endpoint>(),
                      boost::system::system_error);
}

BOOST_AUTO_TEST_CASE(local_names_are_paths_or_abstract)
{
    BOOST_TEST(endpoint::local("/tmp/s").path() == "/tmp/s");
    BOOST_TEST(endpoint::local(std::string_view("\0name", 5)).to_string() == "@name");
    BOOST_TEST(endpoint::local(std::string(107, 'x')).path().size() == 107u);
    BOOST_CHECK_THROW(endpoint::local(std::string(108, 'x')), boost::system::system_error);
    BOOST_TEST(endpoint().to_string().empty());
}

BOOST_AUTO_TEST_CASE(compares_what_it_names)
{
    BOOST_TEST(endpoint("127.0.0.1", 1) == endpoint("127.0.0.1", 1));
    BOOST_TEST(endpoint("127.0.0.1", 1) != endpoint("127.0.0.1", 2));
    BOOST_TEST(endpoint("127.0.0.1", 1) != endpoint("::1", 1));
    BOOST_TEST(endpoint() == endpoint());
}

BOOST_AUTO_TEST_SUITE_END()
