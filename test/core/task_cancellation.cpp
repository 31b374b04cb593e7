// SPDX-License-Identifier: BSL-1.0
#include <zsync/core/task_cancellation.hpp>

#include <zsync/core/error.hpp>

#include <boost/test/unit_test.hpp>

#include <exception>

using boost::asio::error::operation_aborted;
using zsync::fiber_unwind;
using zsync::task_cancellation;

namespace
{

struct counted_wait : task_cancellation::wait
{
    int interrupts = 0;
    void interrupt() noexcept override { ++interrupts; }
};

} // namespace

BOOST_AUTO_TEST_SUITE(core_task_cancellation)

BOOST_AUTO_TEST_CASE(nothing_is_due_without_a_request)
{
    task_cancellation task;
    BOOST_TEST(!task.requested());
    BOOST_TEST(!task.due());
    BOOST_TEST(!task.take());
    BOOST_TEST(!task.reason().failed());
    task.throw_if_unwinding();
}

BOOST_AUTO_TEST_CASE(a_request_is_delivered_once)
{
    task_cancellation task;
    BOOST_TEST(task.request());
    BOOST_TEST(task.due());
    BOOST_TEST(task.take());
    BOOST_TEST(!task.due());
    BOOST_TEST(!task.take());
    BOOST_TEST(task.requested());
    BOOST_TEST((task.reason() == operation_aborted));
}

BOOST_AUTO_TEST_CASE(the_first_reason_stays)
{
    task_cancellation task;
    BOOST_TEST(task.request(make_error_code(zsync::error::timed_out)));
    BOOST_TEST(!task.request());
    BOOST_TEST((task.reason() == zsync::error::timed_out));
}

BOOST_AUTO_TEST_CASE(recancel_delivers_again)
{
    task_cancellation task;
    task.request();
    BOOST_TEST(task.take());
    task.recancel();
    BOOST_TEST(task.take());
    BOOST_TEST(!task.take());
}

BOOST_AUTO_TEST_CASE(protection_defers_to_the_last_unprotect)
{
    task_cancellation task;
    task.protect();
    task.protect();
    task.request();
    BOOST_TEST(!task.take());
    task.unprotect();
    BOOST_TEST(!task.take());
    task.unprotect();
    BOOST_TEST(task.take());
}

BOOST_AUTO_TEST_CASE(a_request_interrupts_the_wait_in_progress_once)
{
    task_cancellation task;
    counted_wait wait;
    task.begin(wait);
    task.request();
    task.request();
    BOOST_TEST(wait.interrupts == 1);
    task.end();
    BOOST_TEST(task.due());
}

BOOST_AUTO_TEST_CASE(a_wait_that_is_over_is_left_alone)
{
    task_cancellation task;
    counted_wait wait;
    task.begin(wait);
    task.end();
    task.request();
    BOOST_TEST(wait.interrupts == 0);
}

BOOST_AUTO_TEST_CASE(a_protected_wait_is_not_interrupted)
{
    task_cancellation task;
    counted_wait wait;
    task.protect();
    task.begin(wait);
    task.request();
    BOOST_TEST(wait.interrupts == 0);
    task.end();
    task.unprotect();
    BOOST_TEST(task.take());
}

BOOST_AUTO_TEST_CASE(unwinding_ends_every_point)
{
    task_cancellation task;
    task.request_unwind();
    BOOST_CHECK_THROW(task.take(), fiber_unwind);
    BOOST_CHECK_THROW(task.take(), fiber_unwind);
    BOOST_CHECK_THROW(task.throw_if_unwinding(), fiber_unwind);
    BOOST_TEST((task.reason() == operation_aborted));
}

BOOST_AUTO_TEST_CASE(unwinding_interrupts_a_wait_though_a_request_was_delivered)
{
    task_cancellation task;
    counted_wait wait;
    task.request();
    task.take();
    task.begin(wait);
    task.request_unwind();
    BOOST_TEST(wait.interrupts == 1);
    task.end();
    BOOST_CHECK_THROW(task.take(), fiber_unwind);
}

BOOST_AUTO_TEST_CASE(protection_defers_unwinding)
{
    task_cancellation task;
    task.protect();
    task.request_unwind();
    BOOST_TEST(!task.take());
    task.throw_if_unwinding();
    task.unprotect();
    BOOST_CHECK_THROW(task.take(), fiber_unwind);
}

BOOST_AUTO_TEST_CASE(a_destructor_that_runs_while_unwinding_is_told_and_not_thrown_through)
{
    task_cancellation task;
    bool told = false;
    struct closing
    {
        task_cancellation& task;
        bool& told;
        ~closing() { told = task.take(); }
    };
    try
    {
        const closing last{task, told};
        task.request_unwind();
        task.take();
        BOOST_ERROR("not unwound");
    }
    catch (const fiber_unwind&)
    {
    }
    BOOST_TEST(told);
}

BOOST_AUTO_TEST_SUITE_END()
