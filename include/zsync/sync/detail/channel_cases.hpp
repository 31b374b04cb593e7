// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <zsync/sync/detail/channel_core.hpp>
#include <zsync/sync/detail/selected_wait.hpp>

#include <boost/system/result.hpp>

#include <cstddef>
#include <utility>

namespace zsync::detail
{

/// Receives, as a part of a selection.
template <class T>
class receive_case
{
public:
    using result_type = boost::system::result<T>;

    explicit receive_case(channel_core<T>& from) noexcept : from_(&from) {}

    class wait_type final : public selected_wait<receive_request<T>>
    {
    public:
        wait_type(receive_case& what, selection& of, std::size_t index) noexcept
            : selected_wait<receive_request<T>>(of, index, *what.from_), from_(*what.from_)
        {
        }

        bool try_now() noexcept { return from_.take_locked(this->item, this->result, this->woken_); }

        bool arm() noexcept
        {
            from_.enter(*this);
            return false;
        }

        result_type take(bool chosen) noexcept
        {
            if (chosen && this->item)
                return {boost::system::in_place_value, std::move(*this->item)};
            return {boost::system::in_place_error, chosen ? this->result : aborted_by_another()};
        }

    private:
        channel_core<T>& from_;
    };

private:
    channel_core<T>* from_;
};

/// Sends, as a part of a selection.
template <class T>
class send_case
{
public:
    using result_type = boost::system::result<void>;

    send_case(channel_core<T>& to, T&& item) noexcept : to_(&to), item_(std::move(item)) {}

    /// What is to be sent; moved from once it has been.
    T& item() noexcept { return item_; }

    class wait_type final : public selected_wait<agent_send_request<T>>
    {
    public:
        wait_type(send_case& what, selection& of, std::size_t index) noexcept
            : selected_wait<agent_send_request<T>>(of, index, *what.to_, what.item_), to_(*what.to_)
        {
        }

        bool try_now() { return to_.offer_locked(this->item(), this->result, this->woken_); }

        bool arm() noexcept
        {
            to_.enter(*this);
            return false;
        }

        result_type take(bool chosen) noexcept
        {
            if (chosen && !this->result)
                return {};
            return chosen ? this->result : aborted_by_another();
        }

    private:
        channel_core<T>& to_;
    };

private:
    channel_core<T>* to_;
    T item_;
};

} // namespace zsync::detail
