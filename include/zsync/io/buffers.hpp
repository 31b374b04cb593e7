// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/buffer.hpp>

#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>
#include <utility>

#include <sys/uio.h>

namespace zsync
{

/// What bytes may be kept in.
template <class T>
concept byte_like = std::same_as<std::remove_cv_t<T>, std::byte> || std::same_as < std::remove_cv_t<T>,
char > || std::same_as<std::remove_cv_t<T>, unsigned char> || std::same_as<std::remove_cv_t<T>, signed char> ||
    std::same_as<std::remove_cv_t<T>, char8_t>;

template <class R>
concept byte_range =
    std::ranges::contiguous_range<R> && std::ranges::sized_range<R> && byte_like<std::ranges::range_value_t<R>>;

/// Bytes that outlive the expression, as far as types can tell: an lvalue, or a view such as std::span, whatever its
/// value category.
template <class B>
concept borrowed_bytes = byte_range<B> && std::ranges::borrowed_range<B>;

/// A container on its way out: an operation takes it over.
template <class B>
concept owned_bytes = byte_range<B> && !std::is_reference_v<B> && !std::is_const_v<B> && !borrowed_bytes<B> && requires
{
    typename B::allocator_type;
};

/// Where an operation can read to: a range of bytes that is not const, or Asio's mutable_buffer. Written through until
/// the operation has ended. A temporary container is none: nobody would see the bytes.
template <class B>
concept mutable_bytes = std::convertible_to<B, boost::asio::mutable_buffer> ||
    (borrowed_bytes<B> && !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<B>>>);

/// What an operation can write: a range of bytes, a string literal (without its terminating zero), Asio's buffers; it
/// has to stay as it is until the operation has ended. A container that is moved in is the operation's.
template <class B>
concept const_bytes = std::convertible_to<B, boost::asio::const_buffer> || borrowed_bytes<B> || owned_bytes<B>;

/// Several buffers as Asio has them; the sequence itself is copied.
template <class S>
concept mutable_sequence = boost::asio::is_mutable_buffer_sequence<std::decay_t<S>>::value && !mutable_bytes<S>;
template <class S>
concept const_sequence = boost::asio::is_const_buffer_sequence<std::decay_t<S>>::value && !const_bytes<S>;

namespace detail
{

/// Bytes of somebody else.
class viewed_bytes
{
public:
    viewed_bytes(const void* data, std::size_t size) noexcept : piece_{const_cast<void*>(data), size} {}
    const iovec& piece() const noexcept { return piece_; }

private:
    iovec piece_;
};

/// A container that the operation owns. Where its bytes are changes when it moves.
template <class Container>
class kept_bytes
{
public:
    explicit kept_bytes(Container&& container) noexcept : container_(std::move(container)) {}
    iovec piece() const noexcept { return {const_cast<void*>(static_cast<const void*>(data())), container_.size()}; }

private:
    auto data() const noexcept { return std::ranges::data(container_); }
    Container container_;
};

template <class B>
auto hold(B&& bytes) noexcept
{
    if constexpr (std::convertible_to<B, boost::asio::const_buffer>)
    {
        const boost::asio::const_buffer buffer(bytes);
        return viewed_bytes(buffer.data(), buffer.size());
    }
    else if constexpr (owned_bytes<B>)
        return kept_bytes<B>(std::forward<B>(bytes));
    else if constexpr (std::is_array_v<std::remove_reference_t<B>> &&
                       std::is_same_v<std::ranges::range_reference_t<B>, const char&>)
    {
        constexpr std::size_t size = std::extent_v<std::remove_reference_t<B>>;
        return viewed_bytes(bytes, size - (bytes[size - 1] == '\0'));
    }
    else
        return viewed_bytes(std::ranges::data(bytes), std::ranges::size(bytes));
}

template <class B>
using held = decltype(hold(std::declval<B>()));

} // namespace detail

} // namespace zsync
