// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include <netdb.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <mnv3/train/distributed/rendezvous.hpp>
#include <mnv3/weights/bytes/file_descriptor.hpp>

namespace mnv3::train::detail {

/// This machine's address on the way to the place where the ranks meet; the place itself if there
/// is no way. Nothing is sent: a datagram socket that is connected knows its own address.
/// Source  Linux man-pages 6.03: connect(2), getsockname(2).
inline std::string own_address(const Rendezvous& place) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(place.address.c_str(), std::to_string(place.port).c_str(), &wanted, &found) !=
      0)
    return place.address;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  for (const addrinfo* to = found; to != nullptr; to = to->ai_next) {
    const weights::FileDescriptor socket(::socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    char text[NI_MAXHOST];
    if (socket && ::connect(socket.get(), to->ai_addr, to->ai_addrlen) == 0 &&
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) == 0)
      return text;
  }
  return place.address;
}

}  // namespace mnv3::train::detail
