package process

const driverOfThisSystem = "epoll"
