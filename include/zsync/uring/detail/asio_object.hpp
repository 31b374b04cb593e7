// SPDX-License-Identifier: BSL-1.0
#pragma once

// The implementation half of a native I/O object: what Asio's io_object_impl is to its own services.

#include <boost/asio/detail/io_object_impl.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>

#include <memory>

namespace zsync::detail
{

/// An object of a native service.
template <class Service, class Executor>
class native_object
{
public:
    using service_type = Service;
    using implementation_type = typename Service::implementation_type;
    using executor_type = Executor;

    explicit native_object(int, const Executor& executor) : service_(find(context_of(executor))), executor_(executor)
    {
        service_->construct(implementation_);
    }

    template <class ExecutionContext>
    explicit native_object(int, int, ExecutionContext& context)
        : service_(find(context)), executor_(context.get_executor())
    {
        service_->construct(implementation_);
    }

    native_object(native_object&& other) noexcept : service_(other.service_), executor_(other.executor_)
    {
        service_->move_construct(implementation_, other.implementation_);
    }

    /// From an object with another executor type: the service is the same.
    template <class Executor1>
    native_object(native_object<Service, Executor1>&& other)
        : service_(std::addressof(other.get_service())), executor_(other.get_executor())
    {
        service_->move_construct(implementation_, other.get_implementation());
    }

    /// From an object of a protocol that this one includes.
    template <class Service1, class Executor1>
    native_object(native_object<Service1, Executor1>&& other)
        : service_(find(context_of(other.get_executor()))), executor_(other.get_executor())
    {
        service_->converting_move_construct(implementation_, other.get_service(), other.get_implementation());
    }

    ~native_object() { service_->destroy(implementation_); }

    native_object& operator=(native_object&& other)
    {
        if (this != &other)
        {
            service_->move_assign(implementation_, *other.service_, other.implementation_);
            std::destroy_at(&executor_);
            std::construct_at(&executor_, other.executor_);
            service_ = other.service_;
        }
        return *this;
    }

    const Executor& get_executor() noexcept { return executor_; }
    service_type& get_service() { return *service_; }
    const service_type& get_service() const { return *service_; }
    implementation_type& get_implementation() { return implementation_; }
    const implementation_type& get_implementation() const { return implementation_; }

private:
    template <class Any>
    static boost::asio::execution_context& context_of(const Any& executor)
    {
        if constexpr (boost::asio::execution::is_executor<Any>::value)
            return boost::asio::query(executor, boost::asio::execution::context);
        else
            return executor.context();
    }

    template <class ExecutionContext>
    static service_type* find(ExecutionContext& context)
    {
        return std::addressof(boost::asio::use_service<service_type>(context));
    }

    service_type* service_;
    implementation_type implementation_;
    Executor executor_;
};

} // namespace zsync::detail
