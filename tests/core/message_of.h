#pragma once
#include <QString>
#include <string>

#include <core/base/error.h>

namespace orrery {

/// What the error of a call says; "no error" if there is none.
template <class Work>
std::string messageOf(const Work& work)
{
    try {
        work();
    } catch (const core::Error& error) {
        return error.what();
    }
    return "no error";
}

/// The same for comparisons with Qt's texts.
template <class Work>
QString saidBy(const Work& work)
{
    return QString::fromStdString(messageOf(work));
}

}  // namespace orrery
