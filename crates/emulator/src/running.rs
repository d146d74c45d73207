//! Starting and stopping: on the caller's runtime or on a thread of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
};

use crate::{
    control::Control, plain, scenario::Scenario, server, server::StartError, world::World,
};

/// Starts emulated services.
#[derive(Debug, Clone, Copy)]
pub struct Emulator;

/// A running emulator; dropping it ends it and its connections.
#[derive(Debug)]
pub struct Running {
    world: Arc<World>,
    address: SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Emulator {
    /// Starts on a free loopback port, on the caller's runtime.
    ///
    /// # Errors
    /// When the scenario cannot be used or no port is free.
    pub async fn start(scenario: Scenario) -> Result<Running, StartError> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), scenario).await
    }

    /// Starts on the given address, on the caller's runtime.
    ///
    /// # Errors
    /// When the scenario cannot be used or the address is taken.
    pub async fn start_at(address: SocketAddr, scenario: Scenario) -> Result<Running, StartError> {
        let (world, listener, address) = prepare(address, scenario).await?;
        world.tasks.spawn(server::run(Arc::clone(&world), listener));
        Ok(Running { world, address, thread: None })
    }

    /// Starts the plain server: a fixed short completion or stream for every POST, as fast as one
    /// core can write it, without accounting or log; the management answers are the scenario's.
    ///
    /// # Errors
    /// When the scenario cannot be used or the address is taken.
    pub async fn start_plain(
        address: SocketAddr,
        scenario: Scenario,
    ) -> Result<Running, StartError> {
        let (world, listener, address) = prepare(address, scenario).await?;
        world.tasks.spawn(plain::run(Arc::clone(&world), listener));
        Ok(Running { world, address, thread: None })
    }

    /// Starts on a free loopback port, on a thread and runtime of its own, for callers without one.
    ///
    /// # Errors
    /// When the scenario cannot be used or no port is free.
    pub fn start_on_thread(scenario: Scenario) -> Result<Running, StartError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let failed = |source| StartError::Listen { address, source };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("chutes-emulator".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let started = Self::start_at(address, scenario).await;
                    let world = started.as_ref().ok().map(|running| Arc::clone(&running.world));
                    let _ = sender.send(started);
                    if let Some(world) = world {
                        world.stop.cancelled().await;
                    }
                });
            })
            .map_err(failed)?;
        let mut running = receiver
            .recv()
            .map_err(|_| failed(std::io::Error::other("the emulator's thread ended")))??;
        running.thread = Some(thread);
        Ok(running)
    }
}

async fn prepare(
    address: SocketAddr,
    scenario: Scenario,
) -> Result<(Arc<World>, tokio::net::TcpListener, SocketAddr), StartError> {
    scenario.check()?;
    let listener = server::bind(address).await?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
    Ok((World::new(scenario), listener, address))
}

impl Running {
    /// `http://127.0.0.1:PORT`, without a slash: the management base URL. Inference is under `/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle on clock, accounts, models and log.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.world))
    }

    /// Ends every connection and waits until all tasks are gone.
    pub async fn shutdown(self) {
        self.world.stop.cancel();
        self.world.tasks.close();
        self.world.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.world.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
