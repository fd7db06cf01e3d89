#pragma once
#include <QTest>

#include <string>

#include <core/base/error.h>
#include <core/base/files.h>

namespace orrery::io {

/// Message of the error that `action` throws; other types are named, nothing thrown is "nothing thrown".
template <class Expected = core::FormatError, class Action>
QString messageOf(Action&& action)
{
    try {
        action();
    } catch (const Expected& error) {
        return QString::fromStdString(error.what());
    } catch (const std::exception& error) {
        return QStringLiteral("another type: ") + QString::fromUtf8(error.what());
    }
    return QStringLiteral("nothing thrown");
}

inline std::string fixture(const std::string& name)
{
    return core::readFile(std::string(ORRERY_TEST_DATA "/io/") + name);
}

}  // namespace orrery::io
