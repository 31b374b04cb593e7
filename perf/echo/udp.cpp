// SPDX-License-Identifier: BSL-1.0

// Datagrams of 1200 bytes over loopback in one thread: a burst of 48 is sent, and when all have arrived, the next one.
// Asio: an operation a datagram. zsync: `batch`: the burst is one operation, and what arrives is received by batches.
// `gso`: the burst is one send that the kernel cuts, and what arrives may have been put together.

#include "harness/context.hpp"

#include <boost/asio/buffer.hpp>

#include <array>
#include <vector>

#ifdef PERF_PEER
#    include <boost/asio/ip/udp.hpp>
#else
#    include <zsync/net/datagram.hpp>
#endif

namespace
{

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t burst = 48;
constexpr std::size_t bytes = 1200;

class counting
{
public:
    counting(perf::context& ctx, const perf::cell_arguments& arguments)
        : ctx_(ctx),
          count_(arguments.number("count", 10'000)),
          remaining_(static_cast<std::int64_t>(arguments.number("warm_up", 4'800) + count_))
    {
    }

    /// Returns true if the burst is complete and there is to be another one.
    bool arrived(std::size_t datagrams)
    {
        const bool warm = remaining_ <= static_cast<std::int64_t>(count_);
        remaining_ -= static_cast<std::int64_t>(datagrams);
        in_burst_ += datagrams;
        if (!warm && remaining_ <= static_cast<std::int64_t>(count_))
        {
            cpu_ = perf::cpu_ns();
            wall_ = perf::wall_ns();
        }
        if (remaining_ <= 0 && in_burst_ == burst)
        {
            cpu_ = perf::cpu_ns() - cpu_;
            wall_ = perf::wall_ns() - wall_;
            ctx_.stop();
            return false;
        }
        if (in_burst_ != burst)
            return false;
        in_burst_ = 0;
        return true;
    }

    void describe(perf::cell_line& line) const
    {
        const auto count = static_cast<double>(count_);
        line.add("cpu_ns", cpu_ / count).add("per_second", count * 1e9 / wall_);
    }

private:
    perf::context& ctx_;
    const std::uint64_t count_;
    std::int64_t remaining_;
    std::size_t in_burst_ = 0;
    double cpu_ = 0;
    double wall_ = 0;
};

#ifdef PERF_PEER

class bouncer
{
public:
    bouncer(perf::context& ctx, counting& c, bool)
        : from_(ctx, loopback()), to_(ctx, loopback()), where_(to_.local_endpoint()), counting_(c), data_(bytes, 'x')
    {
        to_.set_option(asio::socket_base::receive_buffer_size(1 << 20));
    }

    void begin()
    {
        receive();
        send(burst);
    }

private:
    static asio::ip::udp::endpoint loopback() { return {asio::ip::address_v4::loopback(), 0}; }

    void send(std::size_t left)
    {
        from_.async_send_to(asio::buffer(data_), where_,
                            [this, left](error_code ec, std::size_t)
                            {
                                if (ec)
                                    throw boost::system::system_error(ec, "send");
                                if (left > 1)
                                    send(left - 1);
                            });
    }

    void receive()
    {
        to_.async_receive_from(asio::buffer(room_), sender_,
                               [this](error_code ec, std::size_t)
                               {
                                   if (ec)
                                       throw boost::system::system_error(ec, "receive");
                                   if (counting_.arrived(1))
                                       send(burst);
                                   receive();
                               });
    }

    asio::ip::udp::socket from_, to_;
    asio::ip::udp::endpoint where_, sender_;
    counting& counting_;
    std::vector<char> data_;
    std::array<char, 2048> room_;
};

#else

class bouncer
{
public:
    bouncer(perf::context& ctx, counting& c, bool gso)
        : from_(ctx, zsync::endpoint("127.0.0.1", 0)),
          to_(ctx, zsync::endpoint("127.0.0.1", 0)),
          where_(to_.local_endpoint()),
          counting_(c),
          gso_(gso),
          data_(burst * bytes, 'x'),
          room_(gso ? 65536 : burst * 2048),
          out_(burst),
          in_(burst)
    {
        to_.set_option(asio::socket_base::receive_buffer_size(1 << 20));
        if (gso)
            to_.set_receive_coalescing(true);
        for (std::size_t i = 0; i != burst; ++i)
            out_.add(asio::const_buffer(data_.data() + i * bytes, bytes), where_);
        for (std::size_t i = 0; i != burst && !gso; ++i)
            in_.add(asio::mutable_buffer(room_.data() + i * 2048, 2048));
    }

    void begin()
    {
        receive();
        send();
    }

private:
    void send()
    {
        const auto sent = [](error_code ec, std::size_t)
        {
            if (ec)
                throw boost::system::system_error(ec, "send");
        };
        if (gso_)
            from_.async_send_segments(asio::buffer(data_), bytes, where_, sent);
        else
            from_.async_send_batch(out_, sent);
    }

    void arrived(error_code ec, std::size_t datagrams)
    {
        if (ec)
            throw boost::system::system_error(ec, "receive");
        if (counting_.arrived(datagrams))
            send();
        receive();
    }

    void receive()
    {
        if (gso_)
            to_.async_receive_segments(asio::buffer(room_), sender_,
                                       [this](error_code ec, std::size_t n, std::size_t segment)
                                       { arrived(ec, segment ? (n + segment - 1) / segment : 1); });
        else
            to_.async_receive_batch(in_, [this](error_code ec, std::size_t n) { arrived(ec, n); });
    }

    zsync::datagram from_, to_;
    zsync::endpoint where_, sender_;
    counting& counting_;
    bool gso_;
    std::vector<char> data_, room_;
    zsync::datagram_batch out_, in_;
};

#endif

void measure(const perf::cell_arguments& arguments)
{
    const auto ctx = perf::make_context("hint-1");
    counting c(*ctx, arguments);
    bouncer b(*ctx, c, arguments.text("mode", "batch") == "gso");
    b.begin();
    ctx->run();
    perf::cell_line line;
    c.describe(line);
    line.print();
}

} // namespace

int main(int argc, char** argv)
{
    return perf::cell_main(argc, argv, measure);
}
