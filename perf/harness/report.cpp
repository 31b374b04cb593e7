// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <stdexcept>

namespace perf
{

namespace
{

namespace json = boost::json;

// Five digits are more than any of these numbers is worth. Plain decimals, where Boost.JSON would write 1.234E3.
std::string number_text(double value)
{
    const int magnitude = value == 0 ? 0 : static_cast<int>(std::floor(std::log10(std::abs(value))));
    std::array<char, 64> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed,
                                   std::clamp(4 - magnitude, 0, 9));
    std::string result(text.data(), end.ptr);
    if (result.find('.') != result.npos)
    {
        result.erase(result.find_last_not_of('0') + 1);
        if (result.back() == '.')
            result.pop_back();
    }
    return result;
}

std::string text_of(const json::value& value)
{
    if (const double* number = value.if_double())
        return number_text(*number);
    if (const json::array* elements = value.if_array())
    {
        std::string text = "[";
        for (const json::value& element : *elements)
            text.append(text.size() == 1 ? "" : ",").append(text_of(element));
        return text += ']';
    }
    return json::serialize(value);
}

std::string line_of(const json::object& object)
{
    std::string text = "{";
    for (const auto& [name, value] : object)
        text.append(text.size() == 1 ? "\"" : ",\"").append(name).append("\":").append(text_of(value));
    return text += '}';
}

bool meets_goal(const result& r)
{
    return r.by == judged::ratio ? r.ratio >= *r.goal : r.zsync <= *r.goal;
}

json::object row_object(const result& r)
{
    const bool good = r.failure.empty();
    const bool has_peer = !r.peer_name.empty();
    const auto number = [](double value, bool is_there)
    { return is_there ? json::value(value) : json::value(nullptr); };
    json::object object{{"suite", r.suite},
                        {"row", r.row},
                        {"unit", r.unit},
                        {"zsync", number(r.zsync, good)},
                        {"peer", number(r.peer, good && has_peer)},
                        {"peer_name", has_peer ? json::value(r.peer_name) : json::value(nullptr)},
                        {"ratio", number(r.ratio, good && r.ratio != 0)},
                        {"spread", number(r.spread, good)},
                        {"goal", number(r.goal.value_or(0), r.goal.has_value())},
                        {"met", r.goal && good ? json::value(meets_goal(r)) : json::value(nullptr)}};
    if (r.by != judged::ratio)
        object["goal_for"] = r.by == judged::added ? "zsync, above the peer" : "zsync";
    if (!good)
        object["failed"] = r.failure;
    return object;
}

} // namespace

std::string row_line(const result& r)
{
    return line_of(row_object(r));
}

void save(const std::string& suite, const json::object& run, const std::vector<result>& results)
{
    std::ofstream file(ZSYNC_PERF_SOURCE_DIR "/perf/results/" + suite + ".jsonl");
    file << line_of(run) << '\n';
    for (const result& r : results)
    {
        json::object object = row_object(r);
        object["zsync_name"] = r.zsync_name;
        object["disturbed"] = r.disturbed;
        object["zsync_rounds"] = json::array(r.zsync_rounds.begin(), r.zsync_rounds.end());
        object["peer_rounds"] = json::array(r.peer_rounds.begin(), r.peer_rounds.end());
        file << line_of(object) << '\n';
    }
    if (!file.flush())
        throw std::runtime_error("the results cannot be written");
}

} // namespace perf
